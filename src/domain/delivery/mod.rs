//! The delivery of events to subscribers.
//!
//! - [`DeliveryWindow`]: the deliveries of one partition that have not ended.

mod window;

pub use window::{Delivery, DeliveryWindow};
