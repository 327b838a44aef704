//! Delivery decisions as tables and properties: installation, upgrade, kept changes, rollback, deployment, uninstall.

mod deploy_and_uninstall;
mod generate;
mod install;
mod kept;
mod plan_text;
mod properties;
mod rollback;
mod row;
mod support;
mod upgrade_resources;
mod upgrade_table;
mod upgrade_table_attributes;
