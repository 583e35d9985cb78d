//! Recipes become a plan: the graph of images, each an ordered list of steps with a content key.

mod key;
mod step;

pub use self::key::{Key, KeyBuilder};
pub use self::step::{Error, ImagePlan, Step, plan};
