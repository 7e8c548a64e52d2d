#![doc = include_str!("../README.md")]

mod client;
mod environment;
mod failure;
mod management_program;

mod values;

mod connection;

mod api;
mod given;
mod hooks;
mod pages;
mod parts;
mod upload;

mod output;

mod desk;
mod question;

mod names;

mod arguments;
mod commands;
mod doctor;
mod local;

mod manual;
#[cfg(test)]
mod operations;
mod program;

pub use program::run;
