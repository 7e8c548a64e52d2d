#![doc = include_str!("../README.md")]

pub mod pem;
pub mod tls_crypt_v2;

pub mod directive;
pub mod fleet_name;
pub mod profile;

pub mod parts;

#[cfg(test)]
mod known_lines_tests;
