#![doc = include_str!("../README.md")]

pub mod pem;
pub mod tls_crypt_v2;

pub mod profile;

pub mod parts;
