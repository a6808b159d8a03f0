//! The unified contracts: one view over all channels for customers, products, events, transactions
//! and service interactions.
//!
//! `contracts.toml` defines the contracts' columns; a channel's mapping file says which expressions
//! over its tables give them. [`views`] turns both into CREATE VIEW statements.

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

/// A contract's view over all channels that map it.
#[derive(Debug)]
pub struct ContractView {
    /// The contract's name.
    pub name: String,
    /// What each channel gives, in the order of the channels.
    pub channels: Vec<ChannelRows>,
    comment: String,
}

/// The rows that one channel gives to a contract.
#[derive(Debug)]
pub struct ChannelRows {
    /// The channel.
    pub channel: String,
    /// The mapping file, for error texts.
    pub label: String,
    select: String,
}

impl ChannelRows {
    /// A query that computes every value of the channel, and so fails where one of its mappings does.
    pub fn test_query(&self) -> &str {
        &self.select
    }
}

impl ContractView {
    /// The statements that make the view in schema `public`, or remove it where no channel maps the contract.
    pub fn statements(&self) -> Vec<String> {
        let name = &self.name;
        if self.channels.is_empty() {
            return vec![format!("DROP VIEW IF EXISTS public.{name}")];
        }
        let selects: Vec<&str> = self
            .channels
            .iter()
            .map(|channel| channel.select.as_str())
            .collect();
        vec![
            format!(
                "CREATE OR REPLACE VIEW public.{name} AS\n{}",
                selects.join("\nUNION ALL\n")
            ),
            format!(
                "COMMENT ON VIEW public.{name} IS {}",
                literal(&self.comment)
            ),
        ]
    }
}

/// The views of all contracts from mapping files, each given as a label for error texts and its text.
///
/// # Errors
/// [`Condition::BadFile`] for a file that is not a mapping, maps nothing, or is for the channel of another;
/// [`Condition::UndefinedTable`] and [`Condition::UndefinedColumn`] for a contract or column that there is not.
pub fn views(mappings: &[(String, String)]) -> Result<Vec<ContractView>> {
    let contracts: BTreeMap<String, Contract> = toml::from_str(DEFINITIONS)
        .map_err(|error| Report::new(Condition::Internal, format!("contracts.toml: {error}")))?;
    let mut channels: Vec<(&String, Mapping)> = Vec::new();
    for (label, text) in mappings {
        let mapping = parse(label, text)?;
        if mapping.contracts.is_empty() {
            let names = contracts.keys().cloned().collect::<Vec<_>>().join(", ");
            return Err(
                Report::new(Condition::BadFile, format!("\"{label}\" maps no contract"))
                    .hint(format!("The contracts are: {names}."))
                    .into(),
            );
        }
        for (contract, columns) in &mapping.contracts {
            check(label, contract, columns, &contracts)?;
        }
        channels.push((label, mapping));
    }
    channels.sort_by(|(_, left), (_, right)| left.channel.cmp(&right.channel));
    for ((_, channel), (_, next)) in channels.iter().zip(channels.iter().skip(1)) {
        if channel.channel == next.channel {
            return Err(Report::new(
                Condition::BadFile,
                format!("two mapping files are for channel \"{}\"", next.channel),
            )
            .into());
        }
    }
    let views = contracts.iter().map(|(name, contract)| {
        let rows = channels.iter().filter_map(|(label, mapping)| {
            let columns = mapping.contracts.get(name)?;
            Some(ChannelRows {
                channel: mapping.channel.clone(),
                label: label.to_string(),
                select: select(&mapping.channel, contract, columns),
            })
        });
        let columns = contract
            .columns
            .iter()
            .map(|column| format!("{}: {}", column.name, column.description))
            .collect::<Vec<_>>()
            .join("; ");
        ContractView {
            name: name.clone(),
            channels: rows.collect(),
            comment: format!("{} {columns}.", contract.description),
        }
    });
    Ok(views.collect())
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
    use super::{ContractView, views};

    const WEB: &str = "channel = \"web\"\n[products]\nsource = \"web.catalogue\"\n\
                       [products.columns]\nproduct_id = \"sku\"\n";

    fn products(text: &str) -> ContractView {
        let views = views(&[("web.toml".into(), text.into())]).unwrap();
        views
            .into_iter()
            .find(|view| view.name == "products")
            .unwrap()
    }

    #[test]
    fn a_mapping_becomes_a_view_with_every_column_of_the_contract() {
        let products = products(WEB);
        let [view, comment] = <[String; 2]>::try_from(products.statements()).unwrap();
        assert!(view.contains("CAST('web' AS text) AS channel"));
        assert!(view.contains("CAST((sku) AS text) AS product_id"));
        assert!(view.contains("CAST(NULL AS numeric(12,2)) AS price"));
        assert!(comment.starts_with("COMMENT ON VIEW public.products"));
        assert!(view.contains(products.channels[0].test_query()));
    }

    #[test]
    fn a_contract_that_no_channel_maps_has_no_view() {
        let views = views(&[("web.toml".into(), WEB.into())]).unwrap();
        let customers = views.iter().find(|view| view.name == "customers").unwrap();
        assert_eq!(
            customers.statements(),
            ["DROP VIEW IF EXISTS public.customers"]
        );
    }

    #[test]
    fn what_is_not_a_mapping_is_refused() {
        for text in [
            WEB.replace("product_id", "colour"),
            WEB.replace("products", "prodcts"),
            "channel = \"web\"\n".to_owned(),
        ] {
            assert!(views(&[("web.toml".into(), text)]).is_err());
        }
        let twice = [("a.toml".into(), WEB.into()), ("b.toml".into(), WEB.into())];
        assert!(views(&twice).is_err());
    }
}
