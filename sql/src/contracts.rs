//! The unified contracts: one view over all channels for customers, products, events, transactions
//! and service interactions.
//!
//! `contracts.toml` defines the contracts' columns; a channel's mapping file says which expressions
//! over its tables give them. [`view_statements`] turns both into CREATE VIEW statements.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::error::{Condition, Report, Result};

const DEFINITIONS: &str = include_str!("../contracts/contracts.toml");

/// A contract: its meaning and columns.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contract {
    description: String,
    columns: Vec<ContractColumn>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ContractColumn {
    name: String,
    #[serde(rename = "type")]
    sql_type: String,
    description: String,
}

/// A mapping file.
#[derive(Debug, Deserialize)]
struct Mapping {
    channel: String,
    #[serde(flatten)]
    contracts: BTreeMap<String, ContractMapping>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ContractMapping {
    source: String,
    columns: BTreeMap<String, String>,
}

/// The channel that a mapping file is for.
///
/// # Errors
/// [`Condition::BadFile`] where it cannot be read; `label` names it.
pub fn channel_of(label: &str, mapping: &str) -> Result<String> {
    Ok(parse(label, mapping)?.channel)
}

/// The statements that make the contract views in schema `public` from mapping files, each given
/// as a label for error texts and its text.
///
/// # Errors
/// [`Condition::BadFile`] for a file that is not a mapping; [`Condition::UndefinedColumn`] for a
/// contract or column that there is not.
pub fn view_statements(mappings: &[(String, String)]) -> Result<Vec<String>> {
    let contracts: BTreeMap<String, Contract> = toml::from_str(DEFINITIONS)
        .map_err(|error| Report::new(Condition::Internal, format!("contracts.toml: {error}")))?;
    let mut channels = Vec::new();
    for (label, text) in mappings {
        let mapping = parse(label, text)?;
        for (contract, columns) in &mapping.contracts {
            check(label, contract, columns, &contracts)?;
        }
        channels.push(mapping);
    }
    channels.sort_by(|left, right| left.channel.cmp(&right.channel));
    if let Some([first, _]) = channels.windows(2).find_map(|pair| {
        <&[Mapping; 2]>::try_from(pair)
            .ok()
            .filter(|[a, b]| a.channel == b.channel)
    }) {
        return Err(Report::new(
            Condition::BadFile,
            format!("two mapping files are for channel \"{}\"", first.channel),
        )
        .into());
    }
    let mut statements = Vec::new();
    for (name, contract) in &contracts {
        let selects: Vec<String> = channels
            .iter()
            .filter_map(|mapping| {
                let columns = mapping.contracts.get(name)?;
                Some(select(&mapping.channel, contract, columns))
            })
            .collect();
        if selects.is_empty() {
            continue;
        }
        statements.push(format!(
            "CREATE OR REPLACE VIEW public.{name} AS\n{}",
            selects.join("\nUNION ALL\n")
        ));
        let columns = contract
            .columns
            .iter()
            .map(|column| format!("{}: {}", column.name, column.description))
            .collect::<Vec<_>>()
            .join("; ");
        statements.push(format!(
            "COMMENT ON VIEW public.{name} IS {}",
            literal(&format!("{} {columns}.", contract.description))
        ));
    }
    Ok(statements)
}

fn parse(label: &str, text: &str) -> Result<Mapping> {
    toml::from_str(text).map_err(|error| {
        Report::new(
            Condition::BadFile,
            format!("\"{label}\" is not a mapping file"),
        )
        .detail(format!("{}.", error.message().trim_end_matches('.')))
        .hint("A mapping file says channel = \"...\" and, for each contract, source and columns.")
        .into()
    })
}

fn check(
    label: &str,
    contract: &str,
    mapping: &ContractMapping,
    contracts: &BTreeMap<String, Contract>,
) -> Result<()> {
    let known = contracts.get(contract).ok_or_else(|| {
        let names = contracts.keys().cloned().collect::<Vec<_>>().join(", ");
        Report::new(
            Condition::UndefinedTable,
            format!("\"{contract}\" in \"{label}\" is not a contract"),
        )
        .hint(format!("The contracts are: {names}."))
    })?;
    for column in mapping.columns.keys() {
        if column == "channel" || known.columns.iter().all(|known| known.name != *column) {
            let names = known
                .columns
                .iter()
                .map(|column| column.name.as_str())
                .filter(|name| *name != "channel")
                .collect::<Vec<_>>()
                .join(", ");
            return Err(Report::new(
                Condition::UndefinedColumn,
                format!("\"{column}\" in \"{label}\" is not a column of contract \"{contract}\""),
            )
            .hint(format!("Its columns are: {names}."))
            .into());
        }
    }
    Ok(())
}

fn select(channel: &str, contract: &Contract, mapping: &ContractMapping) -> String {
    let columns = contract
        .columns
        .iter()
        .map(|column| {
            let value = if column.name == "channel" {
                literal(channel)
            } else {
                mapping.columns.get(&column.name).map_or_else(
                    || "NULL".to_owned(),
                    |expression| format!("({})", expression.trim()),
                )
            };
            format!("CAST({value} AS {}) AS {}", column.sql_type, column.name)
        })
        .collect::<Vec<_>>()
        .join(",\n       ");
    format!("SELECT {columns}\nFROM {}", mapping.source)
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::view_statements;

    const WEB: &str = "channel = \"web\"\n[products]\nsource = \"web.catalogue\"\n\
                       [products.columns]\nproduct_id = \"sku\"\n";

    #[test]
    fn a_mapping_becomes_a_view_with_every_column_of_the_contract() {
        let statements = view_statements(&[("web.toml".into(), WEB.into())]).unwrap();
        let [view, comment] = statements.as_slice() else {
            unreachable!("one contract is mapped");
        };
        assert!(view.contains("CAST('web' AS text) AS channel"));
        assert!(view.contains("CAST((sku) AS text) AS product_id"));
        assert!(view.contains("CAST(NULL AS numeric(12,2)) AS price"));
        assert!(comment.starts_with("COMMENT ON VIEW public.products"));
    }

    #[test]
    fn a_column_that_the_contract_lacks_is_refused() {
        let text = WEB.replace("product_id", "colour");
        assert!(view_statements(&[("web.toml".into(), text)]).is_err());
    }
}
