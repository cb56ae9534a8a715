//! The media types of the OCI image specification, "OCI Image Media Types", and Docker's names for the same things,
//! which base images from registries still use.

/// An image manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// An image index: manifests by platform.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// An image configuration.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// A layer: a tar compressed with gzip.
pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// A layer: a tar compressed with zstd.
pub const LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
/// A layer: a plain tar.
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// Docker's image manifest, schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's manifest list.
pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker's name for [`LAYER_GZIP`].
pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// The OCI name of a layer's media type; `None` for what cannot be a layer of an OCI image (such as a layer that a
/// registry may not hand out).
pub fn oci_layer(media_type: &str) -> Option<&'static str> {
    match media_type {
        LAYER_GZIP | DOCKER_LAYER_GZIP => Some(LAYER_GZIP),
        LAYER_ZSTD => Some(LAYER_ZSTD),
        LAYER => Some(LAYER),
        _ => None,
    }
}
