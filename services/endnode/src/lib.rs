#![doc = include_str!("../README.md")]

pub mod account;
mod blocking;
pub mod interface;
pub mod listening;
mod programs;
mod sysctls;

pub mod allow_list;
pub mod profile_file;
pub mod pushed_file;
pub mod pushed_groups;

pub mod backend;
pub mod old_server;
pub mod openvpn;
pub mod vpn;

pub mod slices;

pub mod config;

pub mod disk;
pub mod enrol;
pub mod identity;
pub mod management;
pub mod server_certificate;
pub mod standing;
pub mod state_dir;

pub mod metrics;

pub mod groups;
pub mod journal;
pub mod plan;

pub mod apply;
pub mod node;

pub mod coordination;
mod faults;
pub mod network;
pub mod shared;

pub mod enrolled;
pub mod tasks;

pub mod api;

pub mod app;
mod backend_choice;
pub mod doctor;
pub mod local_client;
mod old_choice;
mod serve_api;
mod serve_metrics;
mod some_of;
mod start;
