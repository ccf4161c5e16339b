//! Heartbeats: a Lease for each role of each process, so that people see which replicas exist.
//!
//! These Leases elect nobody, and no decision depends on them; the Lease of the leader is another one.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::core::ObjectMeta;
use sha2::{Digest, Sha256};

use super::timeout::in_time;
use super::write::failed;
use super::{KubeClient, WriteError};

/// Label of the Lease of a replica: its role.
const ROLE_LABEL: &str = "eventcenter.io/role";

/// Field manager of the Leases.
const FIELD_MANAGER: &str = "eventcenter-heartbeat";

/// After this time without a renewal, a replica counts as lost.
const DURATION: Duration = Duration::from_secs(30);

/// Leases that were not renewed for this long are deleted.
const RETENTION: SignedDuration = SignedDuration::from_hours(1);

/// A replica of a role that sends heartbeats.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    /// The role.
    pub role: String,
    /// The unique name of the process.
    pub instance: String,
    /// When it started.
    pub started: Timestamp,
}

/// A replica as its heartbeats show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// The role.
    pub role: String,
    /// The name of the process.
    pub instance: String,
    /// Whether it leads.
    pub is_leader: bool,
    /// When it started.
    pub started: Option<Timestamp>,
    /// When it sent its last heartbeat.
    pub renewed: Option<Timestamp>,
    /// After this time without a heartbeat it counts as lost.
    pub duration: Duration,
}

impl Replica {
    /// Whether its last heartbeat is recent enough.
    #[must_use]
    pub fn is_alive(&self, now: Timestamp) -> bool {
        let duration = SignedDuration::try_from(self.duration).unwrap_or(SignedDuration::MAX);
        self.renewed.is_some_and(|renewed| now.duration_since(renewed) <= duration)
    }

    /// The replicas by role and name. `leader_lease` is the name of the Lease of the leader.
    pub(super) fn of_leases(leases: &[Lease], leader_lease: &str) -> Vec<Self> {
        let holder = |lease: &Lease| lease.spec.as_ref()?.holder_identity.clone();
        let leader = leases.iter().find(|lease| lease.metadata.name.as_deref() == Some(leader_lease));
        let leader = leader.and_then(holder).filter(|holder| !holder.is_empty());
        let mut replicas: Vec<Self> = leases
            .iter()
            .filter_map(|lease| {
                let role = lease.metadata.labels.as_ref()?.get(ROLE_LABEL)?.clone();
                let instance = holder(lease)?;
                let spec = lease.spec.as_ref()?;
                let seconds = spec.lease_duration_seconds.unwrap_or_default().unsigned_abs();
                Some(Self {
                    is_leader: role == "controllers" && leader.as_ref() == Some(&instance),
                    role,
                    instance,
                    started: spec.acquire_time.as_ref().map(|time| time.0),
                    renewed: spec.renew_time.as_ref().map(|time| time.0),
                    duration: Duration::from_secs(seconds.into()),
                })
            })
            .collect();
        replicas.sort_by(|a, b| (&a.role, &a.instance).cmp(&(&b.role, &b.instance)));
        replicas
    }
}

impl Heartbeat {
    /// The name of the Lease: `eventcenter-ROLE-INSTANCE`. Names that Kubernetes does not accept are replaced by a hash.
    fn lease_name(&self) -> String {
        const MAX_INSTANCE_CHARS: usize = 200;
        let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let instance = &self.instance;
        let is_name = (1..=MAX_INSTANCE_CHARS).contains(&instance.len())
            && instance.bytes().all(is_allowed)
            && !instance.ends_with('-');
        match is_name {
            true => format!("eventcenter-{}-{instance}", self.role),
            false => {
                let hash = hex::encode(&Sha256::digest(instance.as_bytes())[..8]);
                format!("eventcenter-{}-{hash}", self.role)
            }
        }
    }

    fn lease(&self, now: Timestamp) -> Lease {
        Lease {
            metadata: ObjectMeta {
                name: Some(self.lease_name()),
                labels: Some(BTreeMap::from([(ROLE_LABEL.to_owned(), self.role.clone())])),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.instance.clone()),
                lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
                acquire_time: Some(MicroTime(self.started)),
                renew_time: Some(MicroTime(now)),
                ..LeaseSpec::default()
            }),
        }
    }
}

impl KubeClient {
    /// Creates or renews the Lease of a replica.
    ///
    /// # Errors
    /// The API server refuses it or does not answer.
    pub async fn send_heartbeat(&self, heartbeat: &Heartbeat, now: Timestamp) -> Result<(), WriteError> {
        let lease = heartbeat.lease(now);
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let (leases, name, patch) = (self.leases(), heartbeat.lease_name(), Patch::Apply(&lease));
        in_time(leases.patch(&name, &params, &patch)).await.map(drop).map_err(failed("sending a heartbeat"))
    }

    /// Deletes the Lease of a replica that stops; a missing one is no error.
    ///
    /// # Errors
    /// As [`Self::send_heartbeat`].
    pub async fn end_heartbeat(&self, heartbeat: &Heartbeat) -> Result<(), WriteError> {
        self.delete_lease(&heartbeat.lease_name()).await
    }

    /// Deletes the Leases of replicas that were lost more than an hour ago.
    ///
    /// # Errors
    /// As [`Self::send_heartbeat`].
    pub async fn delete_expired_heartbeats(&self, now: Timestamp) -> Result<(), WriteError> {
        let params = ListParams::default().labels(ROLE_LABEL);
        let leases = self.leases();
        let listed = in_time(leases.list(&params)).await.map_err(failed("listing the heartbeats"))?;
        let is_expired = |lease: &&Lease| {
            let renewed = lease.spec.as_ref().and_then(|spec| spec.renew_time.as_ref());
            renewed.is_none_or(|renewed| now.duration_since(renewed.0) > RETENTION)
        };
        for lease in listed.items.iter().filter(is_expired) {
            self.delete_lease(lease.metadata.name.as_deref().unwrap_or_default()).await?;
        }
        Ok(())
    }

    async fn delete_lease(&self, name: &str) -> Result<(), WriteError> {
        let (leases, params) = (self.leases(), DeleteParams::default());
        let deleted = in_time(leases.delete(name, &params)).await;
        match deleted.map_err(failed("deleting a heartbeat")) {
            Ok(_) | Err(WriteError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heartbeat(role: &str, instance: &str) -> Heartbeat {
        Heartbeat { role: role.into(), instance: instance.into(), started: Timestamp::UNIX_EPOCH }
    }

    #[test]
    fn the_name_of_a_lease_is_legal() {
        assert_eq!(heartbeat("api", "host-0a1b").lease_name(), "eventcenter-api-host-0a1b");
        for instance in ["", "Host", "a.b_c", "a-", &"x".repeat(300)] {
            let name = heartbeat("api", instance).lease_name();
            assert!(name.len() == "eventcenter-api-".len() + 16, "{name}");
        }
    }

    #[test]
    fn replicas_are_read_from_their_leases() {
        let second = |second| Timestamp::from_second(second).expect("a time");
        let mut leases: Vec<Lease> = [("webhook", "b"), ("controllers", "b"), ("controllers", "a")]
            .map(|(role, instance)| heartbeat(role, instance).lease(second(100)))
            .into();
        let mut leader = heartbeat("", "a").lease(second(0));
        leader.metadata = ObjectMeta { name: Some("leader".into()), ..ObjectMeta::default() };
        leases.push(leader);
        let replicas = Replica::of_leases(&leases, "leader");
        let shown: Vec<String> = replicas
            .iter()
            .map(|replica| format!("{} {} {}", replica.role, replica.instance, replica.is_leader))
            .collect();
        assert_eq!(shown, ["controllers a true", "controllers b false", "webhook b false"]);
        assert!(replicas[0].is_alive(second(130)) && !replicas[0].is_alive(second(131)));
    }
}
