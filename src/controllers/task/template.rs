//! TaskTemplates: makes approved templates available to tasks.

use std::sync::Arc;

use eventcenter_sdk::Reason;
use kube::ResourceExt;

use super::super::approval::{
    ApprovalDecision, ApprovalReport, Disposition, FactsLookup, GovernedReconciler, Obstacle, activate,
    decide, prune_revisions, report_status,
};
use super::super::context::Context;
use super::super::queue::Watched;
use super::super::runtime::{Informer, ReconcileResult, Reconciled, Reconciler};
use super::super::services::Services;
use crate::api::TaskTemplate;
use crate::domain::task::status::build_template_status;
use crate::domain::task::validate_template;
use crate::domain::{Failure, ObjectRef, Refusal};

/// Reconciles TaskTemplates.
pub(in crate::controllers) struct TemplateReconciler(pub(in crate::controllers) Arc<Context>);

impl Reconciler for TemplateReconciler {
    type Object = TaskTemplate;

    fn services(&self) -> &Services {
        &self.0.services
    }

    fn informer(&self) -> &Informer<TaskTemplate> {
        &self.0.templates
    }

    fn object_deleted(&self, template: &Watched<TaskTemplate>) {
        self.0.services.approvals.forget(template);
        let affected = self.0.services.catalog.lock().tasks_mut().remove_template(&ObjectRef::of(template));
        self.0.enqueue_tasks(affected);
    }

    fn objects_listed(&self) {
        let present =
            self.0.templates.objects.state().iter().map(|template| ObjectRef::of(&**template)).collect();
        self.0.services.catalog.lock().tasks_mut().retain_templates(&present);
    }

    async fn reconcile(&self, template: &TaskTemplate) -> ReconcileResult {
        if template.metadata.deletion_timestamp.is_some() {
            return Ok(Reconciled::until_change(Reason::Deleting));
        }
        let ApprovalDecision { resource, disposition, mut report } = decide(self, template).await?;
        let failure = match disposition {
            Disposition::Apply => return self.offer(&resource, &report).await,
            Disposition::Activate(activation) => {
                let (active, record) =
                    activate(&*resource, &activation, &self.0.templates, &self.0.services).await?;
                report.record = Some(record.clone());
                let reconciled = self.offer(&active, &report).await?;
                prune_revisions(&active, record.as_status(), &self.0.services).await;
                return Ok(reconciled);
            }
            Disposition::Hold(Some(Obstacle::Failed(failure))) => failure,
            Disposition::Hold(Some(Obstacle::Refused(refusal))) => Failure::stalled(refusal),
            Disposition::Hold(None) => return Ok(Reconciled::until_change(Reason::Progressing)),
        };
        self.refuse(&ObjectRef::of(template));
        self.report(template, &report, Err(failure)).await
    }

    async fn report_failure(&self, template: &TaskTemplate, failure: Failure) -> ReconcileResult {
        self.report(template, &ApprovalReport::unchanged(template), Err(failure)).await
    }
}

impl GovernedReconciler for TemplateReconciler {
    async fn look_up_facts(&self, _: &TaskTemplate) -> FactsLookup<()> {
        FactsLookup::Available(())
    }
}

impl TemplateReconciler {
    /// Offers the template to tasks, unless it breaks a rule.
    async fn offer(&self, template: &TaskTemplate, report: &ApprovalReport) -> ReconcileResult {
        let reference = ObjectRef::of(template);
        let valid: Result<(), Refusal> =
            validate_template(template, self.0.services.catalog.lock().tenants());
        match &valid {
            Ok(()) => {
                let affected =
                    self.0.services.catalog.lock().tasks_mut().set_template(&reference, &template.spec);
                self.0.enqueue_tasks(affected);
            }
            Err(_) => self.refuse(&reference),
        }
        self.report(template, report, valid.map_err(Failure::stalled)).await
    }

    fn refuse(&self, template: &ObjectRef) {
        let affected = self.0.services.catalog.lock().tasks_mut().refuse_template(template);
        self.0.enqueue_tasks(affected);
    }

    async fn report(
        &self,
        template: &TaskTemplate,
        report: &ApprovalReport,
        outcome: Result<(), Failure>,
    ) -> ReconcileResult {
        let services = &self.0.services;
        let reference = ObjectRef::of(template);
        let users = services.catalog.lock().tasks().users_of(&reference).len();
        let status = build_template_status(template, &outcome, users, services.now());
        report_status(template, status, outcome.is_ok(), report, &self.0.templates, services).await?;
        if outcome.is_ok() {
            self.0.templates.queue.observe_active(template);
        }
        let reason = outcome.map_or_else(|failure| failure.refusal.reason, |()| Reason::Available);
        tracing::debug!(template = template.name_any(), %reason, "reconciled");
        Ok(Reconciled { reason, requeue_after: report.requeue_before_expiry(None, services.now()) })
    }
}
