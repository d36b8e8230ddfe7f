//! Twilio's dialect: the requests of its SDKs, and what programs that use them see.

mod check;
mod continued;
mod create;
mod credentials;
mod errors;
mod gateway;
mod parameters;
mod races;
mod update;
