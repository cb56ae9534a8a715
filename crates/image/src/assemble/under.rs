//! The layers under the program, made to fit it.

use std::io;

use super::{AssembleError, step};
use crate::base::{self, Base, BaseImage};
use crate::cache::Cache;
use crate::codec::{self, Compression};
use crate::digest::Digest;
use crate::layer::Layer;
use crate::oci::History;
use crate::platform::Platform;

/// More than this in one layer of a base is no base: a bomb, or a mistake.
const LARGEST_LAYER: u64 = 8 << 30;

/// The base's layers, compressed in the way that is wanted.
pub(super) fn base_layers(
    base: &BaseImage,
    compression: Compression,
    cache: &Cache,
) -> Result<Vec<Layer>, AssembleError> {
    base.layers
        .iter()
        .map(|layer| {
            if layer.media_type == compression.media_type() {
                return Ok(layer.clone());
            }
            Ok(cache.layer(&base_tar(base, layer)?, compression)?)
        })
        .collect()
}

/// The tars of the base's layers.
pub(super) fn base_tars(base: &Base) -> Result<Vec<Vec<u8>>, AssembleError> {
    match base {
        Base::Embedded => Ok(vec![base::embedded_tar()?]),
        Base::Registry(base) => base
            .layers
            .iter()
            .map(|layer| base_tar(base, layer))
            .collect(),
    }
}

fn base_tar(base: &BaseImage, layer: &Layer) -> Result<Vec<u8>, AssembleError> {
    let tar = codec::decompress(&layer.media_type, &layer.data, LARGEST_LAYER)
        .map_err(|error| base_layer(base, &layer.digest, &error))?;
    if Digest::of(&tar) != layer.diff_id {
        let error = io::Error::other("its content is not what the image's configuration names");
        return Err(base_layer(base, &layer.digest, &error));
    }
    Ok(tar)
}

pub(super) fn base_layer(base: &BaseImage, layer: &Digest, error: &io::Error) -> AssembleError {
    AssembleError::BaseLayer {
        reference: base.reference.clone(),
        layer: layer.clone(),
        reason: error.to_string(),
    }
}

pub(super) fn check_base(base: &BaseImage, wanted: Platform) -> Result<(), AssembleError> {
    let reference = || base.reference.clone();
    let found = format!("{}/{}", base.config.os, base.config.architecture);
    if found != wanted.to_string() {
        return Err(AssembleError::BasePlatform {
            reference: reference(),
            found,
            wanted,
        });
    }
    let diff_ids = &base.config.rootfs.diff_ids;
    if !base.layers.iter().map(|layer| &layer.diff_id).eq(diff_ids) {
        let (layers, diff_ids) = (base.layers.len(), diff_ids.len());
        return Err(AssembleError::BaseLayers {
            reference: reference(),
            layers,
            diff_ids,
        });
    }
    Ok(())
}

/// The base's history, or one line a layer where it does not match the layers.
pub(super) fn base_history(base: &BaseImage) -> Vec<History> {
    let steps = base
        .config
        .history
        .iter()
        .filter(|step| !step.empty_layer)
        .count();
    if steps == base.layers.len() {
        base.config.history.clone()
    } else {
        base.layers
            .iter()
            .map(|layer| step(&format!("{}: {}", base.reference, layer.digest)))
            .collect()
    }
}
