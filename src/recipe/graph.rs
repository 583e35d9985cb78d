//! In which order images are built.

use std::collections::BTreeMap;

use super::error::RecipeError;
use super::findings::Findings;
use super::image::MAIN;
use super::nearest::nearest;
use super::origin::Origin;

/// An image another one depends on, and where that is said.
pub(super) type Dependency = (String, Origin);

/// Returns the images that the main image needs, each after what it depends on, the main image last.
pub(super) fn build_order(
    graph: &BTreeMap<String, Vec<Dependency>>,
    findings: &mut Findings,
) -> Vec<String> {
    let mut walk = Walk {
        graph,
        findings,
        path: Vec::new(),
        order: Vec::new(),
    };
    walk.visit(MAIN, &Origin::Default);
    walk.order
}

struct Walk<'a> {
    graph: &'a BTreeMap<String, Vec<Dependency>>,
    findings: &'a mut Findings,
    /// The images between the main image and this one.
    path: Vec<String>,
    order: Vec<String>,
}

impl Walk<'_> {
    fn visit(&mut self, name: &str, origin: &Origin) {
        if self.order.iter().any(|done| done == name) {
            return;
        }
        if let Some(start) = self.path.iter().position(|image| image == name) {
            let mut circle = self.path[start..].to_vec();
            circle.push(name.to_owned());
            self.findings.error(RecipeError::Circle {
                origin: origin.clone(),
                circle,
            });
            return;
        }
        self.path.push(name.to_owned());
        let mut dependencies: Vec<&Dependency> =
            self.graph.get(name).into_iter().flatten().collect();
        dependencies.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (dependency, origin) in dependencies {
            if self.graph.contains_key(dependency) {
                self.visit(dependency, origin);
            } else {
                let names = self.graph.keys().map(String::as_str);
                self.findings.error(RecipeError::UnknownImage {
                    origin: origin.clone(),
                    image: name.to_owned(),
                    name: dependency.clone(),
                    nearest: nearest(dependency, names).map(str::to_owned),
                });
            }
        }
        self.path.pop();
        self.order.push(name.to_owned());
    }
}
