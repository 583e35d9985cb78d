//! In which order images are built.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::error::RecipeError;
use super::findings::Findings;
use super::image::MAIN;
use super::nearest::nearest;
use super::origin::Origin;

/// An image another one depends on, and where that is said.
pub(super) type Dependency = (String, Origin);

/// Returns the images that the main image needs, each after what it depends on, the main image last.
///
/// `images` are in the order of their names. Of images that could be built at the same time, those come first that
/// wait for nothing, as mkosi has it: the order decides nothing, but people compare.
pub(super) fn build_order(
    images: &[(String, Vec<Dependency>)],
    findings: &mut Findings,
) -> Vec<String> {
    let graph: BTreeMap<&str, &[Dependency]> = images
        .iter()
        .map(|(name, dependencies)| (name.as_str(), dependencies.as_slice()))
        .collect();
    let needed = needed(&graph, findings);
    // Names in the order in which they are first met.
    let mut met: Vec<&str> = Vec::new();
    let mut waits: BTreeMap<&str, usize> = BTreeMap::new();
    let mut waiting: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, dependencies) in images {
        if name == MAIN || !needed.contains(name.as_str()) {
            continue;
        }
        meet(&mut met, name);
        for (dependency, _) in dependencies {
            if needed.contains(dependency.as_str()) {
                meet(&mut met, dependency);
                *waits.entry(name).or_default() += 1;
                waiting.entry(dependency).or_default().push(name);
            }
        }
    }
    let is_free = |name: &&&str| !waits.contains_key(**name);
    let mut order: VecDeque<&str> = met.iter().filter(is_free).copied().collect();
    let mut done = Vec::new();
    while let Some(name) = order.pop_front() {
        done.push(name.to_owned());
        for next in waiting.remove(name).unwrap_or_default() {
            if let Some(left) = waits.get_mut(next) {
                *left -= 1;
                if *left == 0 {
                    waits.remove(next);
                    order.push_back(next);
                }
            }
        }
    }
    if let Some(start) = met.iter().find(|name| waits.contains_key(*name)) {
        findings.error(circle(&graph, start, &waits));
    }
    done.push(MAIN.to_owned());
    done
}

fn meet<'a>(met: &mut Vec<&'a str>, name: &'a str) {
    if !met.contains(&name) {
        met.push(name);
    }
}

/// Returns the images that the main image leads to, but itself.
fn needed<'a>(
    graph: &BTreeMap<&'a str, &'a [Dependency]>,
    findings: &mut Findings,
) -> BTreeSet<&'a str> {
    let mut needed = BTreeSet::new();
    let mut queue = VecDeque::from([MAIN]);
    while let Some(image) = queue.pop_front() {
        let Some(dependencies) = graph.get(image) else {
            continue;
        };
        for (name, origin) in *dependencies {
            if name != MAIN && graph.contains_key(name.as_str()) {
                if needed.insert(name.as_str()) {
                    queue.push_back(name);
                }
                continue;
            }
            let names = graph.keys().copied().filter(|name| *name != MAIN);
            findings.error(RecipeError::UnknownImage {
                origin: origin.clone(),
                image: image.to_owned(),
                name: name.clone(),
                nearest: nearest(name, names).map(str::to_owned),
            });
        }
    }
    needed
}

/// Follows the images that wait for each other from one that waits.
fn circle(
    graph: &BTreeMap<&str, &[Dependency]>,
    start: &str,
    waits: &BTreeMap<&str, usize>,
) -> RecipeError {
    let mut path = vec![start.to_owned()];
    let mut origin = Origin::Default;
    while let Some((next, at)) = path
        .last()
        .and_then(|last| graph.get(last.as_str()))
        .and_then(|of| {
            of.iter()
                .find(|(name, _)| waits.contains_key(name.as_str()))
        })
    {
        origin = at.clone();
        let known = path.iter().position(|name| name == next);
        path.push(next.clone());
        if let Some(known) = known {
            path.drain(..known);
            break;
        }
    }
    RecipeError::Circle {
        origin,
        circle: path,
    }
}
