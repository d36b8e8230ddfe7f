//! The API over HTTP: what apps, carriers and strangers meet.

mod apps;
mod base_path;
mod callbacks;
mod faults;
mod head;
mod journeys;
mod openapi_requests;
mod races;
mod recipients_admin;
mod send;
mod untrusted_input;
mod validation_order;
mod verify;
