//! A kind that the product does not have: everything that an added kind consists of.

use std::collections::BTreeSet;
use std::sync::Arc;

use eventcenter::api::{ApprovedSpec, Governance, GovernedChange, KindInfo, Mutation, PendingChange, Scope};
use eventcenter::app::AdditionalKind;
use eventcenter::controllers::approval::{
    ApprovalDecision, ApprovalReport, Disposition, FactsLookup, GovernedReconciler, Obstacle, activate,
    decide, prune_revisions, report_status,
};
use eventcenter::controllers::{Informer, KindController, ReconcileResult, Reconciled, Reconciler, Services};
use eventcenter::domain::admission::{Change, Verdict};
use eventcenter::domain::approval::Governed;
use eventcenter::domain::condition::{Conditions, Health};
use eventcenter::domain::{Failure, Refusal};
use eventcenter::webhook::{Admit, AdmitGoverned, Handler, Snapshot};
use eventcenter_sdk::Reason;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, CustomResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A resource with a size, which becomes active when it is approved.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(group = "eventcenter.io", version = "v1alpha1", kind = "Widget", shortname = "ecwidget", namespaced)]
#[kube(status = "WidgetStatus", derive = "PartialEq")]
pub(crate) struct WidgetSpec {
    size: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct WidgetStatus {
    observed_generation: Option<i64>,
    conditions: Vec<Condition>,
    /// The active size.
    size: Option<u32>,
    approved: Option<ApprovedSpec>,
    pending: Option<Box<PendingChange>>,
}

eventcenter::has_conditions!(WidgetStatus);
eventcenter::has_approval!(WidgetStatus);

impl Governed for Widget {
    type Facts = ();

    const ALL_CHANGES: &'static [GovernedChange] = &[GovernedChange::ChangeConfig, GovernedChange::Any];
    const DELETION_FIELD: &'static str = "";
    const KEEP_DATA: &'static str = "";

    fn classify(base: Option<&WidgetSpec>, new: &WidgetSpec, (): &()) -> BTreeSet<GovernedChange> {
        match base {
            None => BTreeSet::from([GovernedChange::Create, GovernedChange::Any]),
            Some(base) if base == new => BTreeSet::new(),
            Some(_) => BTreeSet::from([GovernedChange::ChangeConfig, GovernedChange::Any]),
        }
    }

    fn depends_on_facts(_: Option<&WidgetSpec>, _: &WidgetSpec) -> bool {
        false
    }

    fn diff(base: Option<&WidgetSpec>, new: &WidgetSpec, _: &()) -> Vec<String> {
        base.map(|base| format!("size: {} -> {}", base.size, new.size)).into_iter().collect()
    }

    fn destroys_data(_: &WidgetSpec) -> bool {
        false
    }

    fn keep_data(_: &mut WidgetSpec) {}
}

impl Admit for Widget {
    fn judge(change: &Change<'_, Self>, _: &Snapshot) -> Verdict {
        match change {
            Change::Create(new) | Change::Update { new, .. } if new.spec.size > 100 => {
                Verdict::refused(Refusal::at(Reason::InvalidResource, "spec.size", "the maximum is 100"))
            }
            _ => Verdict::default(),
        }
    }
}

impl AdmitGoverned for Widget {}

struct WidgetReconciler {
    services: Arc<Services>,
    informer: Informer<Widget>,
}

impl Reconciler for WidgetReconciler {
    type Object = Widget;

    fn services(&self) -> &Services {
        &self.services
    }

    fn informer(&self) -> &Informer<Widget> {
        &self.informer
    }

    async fn reconcile(&self, widget: &Widget) -> ReconcileResult {
        let ApprovalDecision { resource, disposition, mut report } = decide(self, widget).await?;
        let failure = match disposition {
            Disposition::Hold(Some(Obstacle::Failed(failure))) => failure,
            Disposition::Hold(Some(Obstacle::Refused(refusal))) => Failure { refusal, is_stalled: true },
            Disposition::Hold(None) => return Ok(Reconciled::until_change(Reason::Progressing)),
            Disposition::Apply => return self.report(&resource, &report, None).await,
            Disposition::Activate(activation) => {
                let (active, record) =
                    activate(&*resource, &activation, &self.informer, &self.services).await?;
                report.record = Some(record.clone());
                let reconciled = self.report(&active, &report, None).await?;
                prune_revisions(&active, record.as_status(), &self.services).await;
                return Ok(reconciled);
            }
        };
        self.report(&resource, &report, Some(&failure)).await
    }

    async fn report_failure(&self, widget: &Widget, failure: Failure) -> ReconcileResult {
        self.report(widget, &ApprovalReport::unchanged(widget), Some(&failure)).await
    }
}

impl GovernedReconciler for WidgetReconciler {
    async fn look_up_facts(&self, _: &Widget) -> FactsLookup<()> {
        FactsLookup::Available(())
    }
}

impl WidgetReconciler {
    async fn report(
        &self,
        widget: &Widget,
        report: &ApprovalReport,
        failure: Option<&Failure>,
    ) -> ReconcileResult {
        let mut status = widget.status.clone().unwrap_or_default();
        let generation = widget.metadata.generation;
        let mut conditions = Conditions::from_previous(&status.conditions, generation, self.services.now());
        if failure.is_none() {
            status.size = Some(widget.spec.size);
        }
        let ready = || Health::Ready(Reason::Available, "the size is in force".into());
        conditions.set_health(&failure.map_or_else(ready, Health::after_failure));
        (status.conditions, status.observed_generation) = (conditions.finish(), generation);
        let is_applied = failure.is_none();
        report_status(widget, status, is_applied, report, &self.informer, &self.services).await?;
        let requeue_after = report.requeue_before_expiry(None, self.services.now());
        Ok(Reconciled { reason: Reason::Available, requeue_after })
    }
}

/// The row of the table, the handler of the webhook, and the controller.
pub(crate) fn kind() -> AdditionalKind {
    AdditionalKind {
        info: KindInfo {
            name: "Widget",
            plural: "widgets",
            short_name: "ecwidget",
            scope: Scope::Namespaced,
            governance: Governance::Governed,
            mutation: Mutation::OnWrite,
            definition: Widget::crd,
        },
        handler: Handler::governed::<Widget>(),
        controller: |services| {
            let (informer, streams) = Informer::new(services);
            let services = Arc::clone(services);
            KindController::governed(Arc::new(WidgetReconciler { services, informer }), streams, 4)
        },
    }
}
