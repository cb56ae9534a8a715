//! Storage that containers can mount.

use super::StringMap;
use crate::decode::{choice, record};

record! {
    "camelCase";

    /// Storage that containers can mount.
    struct Volume {
        /// Name by which containers mount it.
        name: Option<String>,
        /// A folder of the host.
        host: Option<HostVolume>,
        /// A Docker volume; not on Fargate.
        docker_volume_configuration: Option<DockerVolumeConfiguration>,
        /// An EFS file system.
        efs_volume_configuration: Option<EfsVolumeConfiguration>,
        /// An S3 Files file system.
        s3files_volume_configuration: Option<S3FilesVolumeConfiguration>,
        /// An FSx for Windows File Server file system.
        fsx_windows_file_server_volume_configuration: Option<FsxWindowsFileServerVolumeConfiguration>,
        /// Whether it is configured when the service or task is made (EBS volumes).
        configured_at_launch: Option<bool>,
    }

    /// A folder of the host.
    struct HostVolume {
        /// Path on the host; left out, Docker chooses one.
        source_path: Option<String>,
    }

    /// A Docker volume.
    struct DockerVolumeConfiguration {
        /// How long it lives.
        scope: Option<VolumeScope>,
        /// Whether it is made when it is not there.
        autoprovision: Option<bool>,
        /// Volume driver.
        driver: Option<String>,
        /// Settings of the driver.
        driver_opts: Option<StringMap>,
        /// Labels of the volume.
        labels: Option<StringMap>,
    }

    /// An EFS file system.
    struct EfsVolumeConfiguration {
        /// Its ID.
        file_system_id: String,
        /// Folder of it that is mounted; `/` when left out.
        root_directory: Option<String>,
        /// Whether traffic is encrypted.
        transit_encryption: Option<Toggle>,
        /// Port for encrypted traffic.
        transit_encryption_port: Option<i32>,
        /// How access is authorised.
        authorization_config: Option<EfsAuthorizationConfig>,
    }

    /// How access to EFS is authorised.
    struct EfsAuthorizationConfig {
        /// ID of the access point.
        access_point_id: Option<String>,
        /// Whether the task role is used.
        iam: Option<Toggle>,
    }

    /// An S3 Files file system.
    struct S3FilesVolumeConfiguration {
        /// Its ARN.
        file_system_arn: String,
        /// Folder of it that is mounted.
        root_directory: Option<String>,
        /// Port for encrypted traffic.
        transit_encryption_port: Option<i32>,
        /// ARN of the access point.
        access_point_arn: Option<String>,
    }

    /// An FSx for Windows File Server file system.
    struct FsxWindowsFileServerVolumeConfiguration {
        /// Its ID.
        file_system_id: String,
        /// Folder of it that is mounted.
        root_directory: String,
        /// How access is authorised.
        authorization_config: FsxWindowsFileServerAuthorizationConfig,
    }

    /// How access to FSx is authorised.
    struct FsxWindowsFileServerAuthorizationConfig {
        /// ARN of the secret that holds the credentials.
        credentials_parameter: String,
        /// Active Directory domain.
        domain: String,
    }
}

choice! {
    /// How long a Docker volume lives.
    enum VolumeScope {
        /// As long as the task.
        Task = "task",
        /// Longer than the task.
        Shared = "shared",
    }

    /// On or off, as EFS writes it.
    enum Toggle {
        /// On.
        Enabled = "ENABLED",
        /// Off.
        Disabled = "DISABLED",
    }
}
