//! Recipes become a plan: the graph of images, each an ordered list of steps with a content key.

mod key;

pub use self::key::{Key, KeyBuilder};
