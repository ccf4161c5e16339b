//! Kinds that an operator has besides those of the product.

use crate::api::KindInfo;
use crate::controllers::MakeController;
use crate::webhook::Handler;

/// A kind that an operator has besides those of the product.
#[derive(Clone, Debug)]
pub struct AdditionalKind {
    /// Its row in the table of kinds.
    pub info: KindInfo,
    /// How the webhook reviews it.
    pub handler: Handler,
    /// Makes its controller.
    pub controller: MakeController,
}
