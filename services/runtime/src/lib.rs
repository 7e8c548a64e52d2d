#![doc = include_str!("../README.md")]

pub mod process;

pub mod config;
pub mod descriptors;
pub mod log_limit;
pub mod metrics;
pub mod service_manager;
pub mod telemetry;
pub mod traces;

pub mod contain;
pub mod tasks;

pub mod backoff;
pub mod batch;
pub mod in_turn;
pub mod reconcile;

pub mod error_chain;
pub mod json;
pub mod names;
pub mod spreadsheet;

pub use vpnmanager_secret_file as secret_file;
pub mod loopback;
pub mod tls;

pub mod doctor;
