//! The API over HTTP: what apps, carriers and strangers meet.

mod apps;
mod callbacks;
mod faults;
mod journeys;
mod openapi_requests;
mod races;
mod recipients_admin;
mod send;
mod untrusted_input;
mod validation_order;
mod verify;
