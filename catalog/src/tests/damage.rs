use super::support::*;
use crate::Error;
use std::os::unix::fs::FileExt;

async fn two_tables() -> (Place, std::path::PathBuf) {
    let place = Place::new();
    let many = (0..10_000).map(|id| (id, "some text")).collect::<Vec<_>>();
    table(&place.warehouse, "public", "t", &rows(&many)).await;
    let file = place.directory().join("data").join(&place.files()[0]);
    table(&place.warehouse, "public", "whole", &rows(&[(1, "a")])).await;
    (place, file)
}

#[tokio::test]
async fn a_missing_file_is_named() {
    let (place, file) = two_tables().await;
    std::fs::remove_file(&file).unwrap();
    // Found by a process that has not read it and by the one that wrote it.
    for warehouse in [place.again(), place.warehouse.clone()] {
        let error = read_at(&warehouse, &warehouse.snapshot().unwrap(), "public", "t")
            .await
            .unwrap_err();
        let found = ours(&error).unwrap();
        assert!(matches!(found, Error::DataFileMissing { .. }), "{found:?}");
        assert_eq!(
            found.to_string(),
            format!(
                "data file \"{}\" of table \"public.t\" is missing",
                file.display()
            )
        );
        assert!(
            found
                .hint()
                .unwrap()
                .starts_with("Restore the file from a backup")
        );
        assert_eq!(read(&warehouse, "public", "whole").await, ["1|a"]);
    }
}

#[tokio::test]
async fn an_altered_byte_is_found_wherever_it_is() {
    let (place, file) = two_tables().await;
    let length = std::fs::metadata(&file).unwrap().len();
    for at in [
        0,
        4,
        length / 3,
        length / 2,
        length - 100,
        length - 6,
        length - 1,
    ] {
        let handle = std::fs::File::options()
            .read(true)
            .write(true)
            .open(&file)
            .unwrap();
        let mut byte = [0];
        handle.read_exact_at(&mut byte, at).unwrap();
        handle.write_all_at(&[byte[0] ^ 1], at).unwrap();
        let warehouse = place.again();
        let error = read_at(&warehouse, &warehouse.snapshot().unwrap(), "public", "t")
            .await
            .unwrap_err();
        let found = ours(&error).unwrap();
        assert!(matches!(found, Error::DataFileDamaged { .. }), "{found:?}");
        assert_eq!(
            found.detail().unwrap(),
            "Its checksum is not the one recorded when it was written."
        );
        assert_eq!(read(&warehouse, "public", "whole").await, ["1|a"]);
        handle.write_all_at(&byte, at).unwrap();
        // Restored, the same process reads it: only success is remembered.
        assert_eq!(read(&warehouse, "public", "t").await.len(), 10_000);
    }
}

#[tokio::test]
async fn a_truncated_or_longer_file_is_found() {
    let (place, file) = two_tables().await;
    let whole = std::fs::read(&file).unwrap();
    for content in [
        &whole[..whole.len() - 1],
        &whole[..10],
        &[],
        &[whole.as_slice(), b"x"].concat(),
    ] {
        std::fs::write(&file, content).unwrap();
        let warehouse = place.again();
        let error = read_at(&warehouse, &warehouse.snapshot().unwrap(), "public", "t")
            .await
            .unwrap_err();
        let detail = ours(&error).unwrap().detail().unwrap();
        assert_eq!(
            detail,
            format!(
                "It has {} bytes; {} were written.",
                content.len(),
                whole.len()
            )
        );
    }
    // A file cut while it is in use is found too, by the read that fails.
    std::fs::write(&file, &whole).unwrap();
    let warehouse = place.again();
    assert_eq!(read(&warehouse, "public", "t").await.len(), 10_000);
    std::fs::write(&file, &whole[..100]).unwrap();
    let error = read_at(&warehouse, &warehouse.snapshot().unwrap(), "public", "t")
        .await
        .unwrap_err();
    assert!(
        matches!(ours(&error).unwrap(), Error::DataFileDamaged { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_full_disk_or_lost_directory_fails_the_write_and_leaves_nothing() {
    let (place, file) = two_tables().await;
    let directory = file.parent().unwrap();
    let id = place
        .warehouse
        .snapshot()
        .unwrap()
        .table("public", "t")
        .unwrap()
        .id;
    // The directory of the table is gone and its name taken by a file: no new file can be made.
    std::fs::remove_dir_all(directory).unwrap();
    std::fs::write(directory, "in the way").unwrap();
    let transaction = place.warehouse.begin().unwrap();
    let error = append(&transaction, id, &rows(&[(1, "a")]))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
    assert!(
        error.to_string().contains(directory.to_str().unwrap()),
        "{error}"
    );
    transaction.rollback().await;
    // With the way free again, the same process makes the directory anew.
    std::fs::remove_file(directory).unwrap();
    let transaction = place.warehouse.begin().unwrap();
    append(&transaction, id, &rows(&[(1, "a")])).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(
        place
            .warehouse
            .snapshot()
            .unwrap()
            .table("public", "t")
            .unwrap()
            .rows,
        10_001
    );
}
