package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func shellJob(name, script string) *batchv1.Job {
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: batchv1.JobSpec{
			Template: corev1.PodTemplateSpec{Spec: shell("", script).Spec},
		},
	}
}

func waitForJob(t *testing.T, name string, kind batchv1.JobConditionType) (*batchv1.Job, *batchv1.JobCondition) {
	t.Helper()
	var job *batchv1.Job
	eventually(t, fmt.Sprintf("Job %s to be %s", name, kind), func(ctx context.Context) (bool, error) {
		var err error
		job, err = shared.BatchV1().Jobs("default").Get(ctx, name, metav1.GetOptions{})
		return err == nil && jobCondition(job, kind) != nil, err
	})
	return job, jobCondition(job, kind)
}

func TestJobBackoffLimit(t *testing.T) {
	t.Parallel()
	job := shellJob("failing", "exit 7")
	job.Spec.BackoffLimit = ptr[int32](1)
	if _, err := shared.BatchV1().Jobs("default").Create(t.Context(), job, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	job, failed := waitForJob(t, job.Name, batchv1.JobFailed)
	if failed.Reason != batchv1.JobReasonBackoffLimitExceeded || job.Status.Failed != 2 {
		t.Errorf("reason %s after %d failures", failed.Reason, job.Status.Failed)
	}
}

func TestJobPodFailurePolicy(t *testing.T) {
	t.Parallel()
	job := shellJob("failing-for-good", "exit 42")
	job.Spec.PodFailurePolicy = &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{{
		Action: batchv1.PodFailurePolicyActionFailJob,
		OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{
			Operator: batchv1.PodFailurePolicyOnExitCodesOpIn, Values: []int32{42}},
	}}}
	if _, err := shared.BatchV1().Jobs("default").Create(t.Context(), job, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, failed := waitForJob(t, job.Name, batchv1.JobFailed); failed.Reason != batchv1.JobReasonPodFailurePolicy {
		t.Errorf("reason %s", failed.Reason)
	}
}

// A Job's deadline deletes its pods while they run.
func TestJobDeadline(t *testing.T) {
	t.Parallel()
	job := shellJob("too-long", "exec sleep 600")
	job.Spec.ActiveDeadlineSeconds = ptr[int64](1)
	if _, err := shared.BatchV1().Jobs("default").Create(t.Context(), job, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, failed := waitForJob(t, job.Name, batchv1.JobFailed); failed.Reason != batchv1.JobReasonDeadlineExceeded {
		t.Errorf("reason %s", failed.Reason)
	}
	eventually(t, "deletion of the Job's pods", func(ctx context.Context) (bool, error) {
		pods, err := shared.CoreV1().Pods("default").List(ctx, metav1.ListOptions{LabelSelector: batchv1.JobNameLabel + "=" + job.Name})
		return err == nil && len(pods.Items) == 0, err
	})
}

func TestCronJobManualRun(t *testing.T) {
	t.Parallel()
	cron := &batchv1.CronJob{
		ObjectMeta: metav1.ObjectMeta{Name: "yearly"},
		Spec: batchv1.CronJobSpec{
			Schedule:    "0 0 1 1 *",
			TimeZone:    ptr("Europe/Berlin"),
			JobTemplate: batchv1.JobTemplateSpec{Spec: shellJob("", "exit 0").Spec},
		},
	}
	cron, err := shared.BatchV1().CronJobs("default").Create(t.Context(), cron, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// As `kubectl create job --from=cronjob/yearly` does.
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Name:            "yearly-now",
			Annotations:     map[string]string{"cronjob.kubernetes.io/instantiate": "manual"},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(cron, batchv1.SchemeGroupVersion.WithKind("CronJob"))},
		},
		Spec: cron.Spec.JobTemplate.Spec,
	}
	if _, err := shared.BatchV1().Jobs("default").Create(t.Context(), job, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	waitForJob(t, job.Name, batchv1.JobComplete)
	// The CronJob controller and the garbage collector handle the Job from here.
	if err := shared.BatchV1().CronJobs("default").Delete(t.Context(), cron.Name,
		metav1.DeleteOptions{PropagationPolicy: ptr(metav1.DeletePropagationForeground)}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "deletion of the Job with its CronJob", func(ctx context.Context) (bool, error) {
		jobs, err := shared.BatchV1().Jobs("default").List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + job.Name})
		return err == nil && len(jobs.Items) == 0, err
	})
}

// Pods without Jobs: the Job controller's request rate (20 per second, several requests per
// Job) would be the limit.
func TestManyPods(t *testing.T) {
	t.Parallel()
	const n = 100
	begin := time.Now()
	for i := range n {
		pod := shell(fmt.Sprintf("many-%d", i), "exit 0")
		pod.Labels = map[string]string{"test": "many"}
		shared.create(t, pod)
	}
	eventually(t, fmt.Sprintf("%d pods to succeed", n), func(ctx context.Context) (bool, error) {
		pods, err := shared.CoreV1().Pods("default").List(ctx, metav1.ListOptions{
			LabelSelector: "test=many", FieldSelector: "status.phase=Succeeded"})
		return err == nil && len(pods.Items) == n, err
	})
	t.Logf("%d pods in %s", n, time.Since(begin).Round(time.Millisecond))
}
