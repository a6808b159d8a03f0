//! `tributary init`: makes a warehouse and its superuser.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use tributary_catalog::{NewRole, Warehouse};

use super::{Failure, Outcome, output};
use crate::server::auth::Verifier;

/// Random bytes of a password: 24 characters.
const PASSWORD_BYTES: usize = 18;

/// Make a warehouse in a directory.
#[derive(Debug, Args)]
pub(super) struct Init {
    /// The directory; it must not exist, or be empty.
    directory: PathBuf,
    /// The superuser's name; that of the user of the operating system if not given.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// A file whose first line is the superuser's password; a random one is made if not given.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl Init {
    pub(super) fn run(self) -> Outcome {
        let user = match self.user {
            Some(user) => user,
            None => whoami::username().map_err(|error| {
                Failure::new(format!(
                    "could not tell the name of the operating system's user: {error}"
                ))
            })?,
        };
        if user.is_empty() {
            return Err(Failure::new("the superuser's name is empty").with_code(2));
        }
        let given = self.password_file.as_deref().map(password_in).transpose()?;
        let warehouse = Warehouse::create(&self.directory)?;
        keep_private(&self.directory)?;
        let shown = self.directory.display();
        let told = match given {
            Some(password) => {
                create_superuser(&warehouse, &user, &password)?;
                None
            }
            None => Some(make_superuser(&warehouse, &self.directory, &user)?),
        };
        output::line(&format!(
            "made warehouse \"{shown}\" with superuser \"{user}\""
        ));
        let quoted = shell_word(&user);
        let directory = shell_word(&shown.to_string());
        output::line(&format!("serve it:   tributary serve {directory}"));
        let prefix = match told {
            Some(path) => format!(
                "PGPASSWORD=\"$(cat {})\" ",
                shell_word(&path.display().to_string())
            ),
            None => String::new(),
        };
        output::line(&format!(
            "connect:    {prefix}psql -h 127.0.0.1 -p 5433 -U {quoted} tributary"
        ));
        Ok(())
    }
}

/// Lets nobody but its owner into the warehouse: the catalog holds what passwords are checked with.
pub(super) fn keep_private(directory: &Path) -> Outcome {
    #[cfg(unix)]
    {
        let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(directory, owner_only).map_err(|error| {
            Failure::new(format!(
                "could not make \"{}\" private: {error}",
                directory.display()
            ))
        })?;
    }
    Ok(())
}

/// Makes the superuser with a random password, which is kept in the file that is returned.
pub(super) fn make_superuser(
    warehouse: &Warehouse,
    directory: &Path,
    user: &str,
) -> Outcome<PathBuf> {
    let password = URL_SAFE_NO_PAD.encode(rand::random::<[u8; PASSWORD_BYTES]>());
    let path = directory.join("password");
    write_private(&path, &password).map_err(|error| {
        Failure::new(format!("could not write \"{}\": {error}", path.display()))
    })?;
    create_superuser(warehouse, user, &password)?;
    Ok(path)
}

fn create_superuser(warehouse: &Warehouse, user: &str, password: &str) -> Outcome {
    warehouse.create_role(NewRole {
        name: user.to_owned(),
        superuser: true,
        login: true,
        scram_verifier: Some(Verifier::new(password).to_string()),
    })?;
    Ok(())
}

/// The first line of a file.
fn password_in(path: &Path) -> Outcome<String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::new(format!("could not read \"{}\": {error}", path.display())))?;
    match text.lines().next() {
        Some(password) if !password.is_empty() => Ok(password.to_owned()),
        _ => Err(Failure::new(format!(
            "the first line of \"{}\" is empty",
            path.display()
        ))),
    }
}

/// Writes a file that only its owner can read; it must not be there yet.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    writeln!(file, "{text}")?;
    file.sync_all()
}

/// `text` as one word of a POSIX shell.
fn shell_word(text: &str) -> String {
    let plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | ':' | '@');
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_shell_are_quoted_where_they_must_be() {
        assert_eq!(shell_word("/tmp/w-1"), "/tmp/w-1");
        assert_eq!(shell_word("a b"), "'a b'");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
        assert_eq!(shell_word(""), "''");
    }

    #[cfg(unix)]
    #[test]
    fn a_private_file_is_private_and_never_overwritten() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        write_private(&path, "secret").unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert!(write_private(&path, "other").is_err());
        assert_eq!(password_in(&path).ok().as_deref(), Some("secret"));
    }
}
