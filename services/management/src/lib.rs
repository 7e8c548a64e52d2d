#![doc = include_str!("../README.md")]

pub mod cli;
pub mod config;

pub mod app;
pub mod backup;
pub mod bus_access;
pub mod bus_reach;
pub mod database_clock;
pub mod hearing;
pub mod https;
pub mod newly_connected;
pub mod pki;
mod pooler;
pub mod reach;
pub mod renewal;
pub mod schema;
pub mod start;
pub mod storage;
pub mod traffic_watch;
mod waiting;

mod doctor;

pub mod metrics;
pub mod user_traces;

pub mod domain;
pub mod ops;

pub mod api;
mod monitoring;
pub mod tasks;
