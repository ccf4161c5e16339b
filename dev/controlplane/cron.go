package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/apis/batch"
	"k8s.io/kubernetes/pkg/apis/batch/validation"
	"k8s.io/kubernetes/pkg/apis/core"
	corevalidation "k8s.io/kubernetes/pkg/apis/core/validation"
	"k8s.io/kubernetes/pkg/util/parsers"
)

const cronUsage = `Usage: controlplane cron < QUERIES

Answers, with one line for each line of its standard input, how the API server and the
CronJob controller of Kubernetes read a schedule. The columns are separated by tabs. Times
are seconds since 1970.

  next FROM ZONE N EXPRESSION    the N times after FROM, separated by spaces; fewer if the
                                 search for a time gives up. "invalid MESSAGE" if the API
                                 server rejects the schedule or the zone
  offsets FROM UNTIL ZONE        pairs START:OFFSET, the offsets from UTC in seconds between
                                 the two times. "invalid MESSAGE" as above
`

// cron is the cron command. It returns the exit code.
func cron(args []string) int {
	switch {
	case len(args) == 1 && (args[0] == "-h" || args[0] == "-help" || args[0] == "--help"):
		fmt.Print(cronUsage)
		return 0
	case len(args) > 0:
		fmt.Fprint(os.Stderr, cronUsage)
		return exitUsage
	}
	if err := answerCronQueries(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "controlplane cron: %v\n", err)
		return exitFailed
	}
	return 0
}

func answerCronQueries(in io.Reader, out io.Writer) error {
	lines := bufio.NewReader(in)
	w := bufio.NewWriter(out)
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF && line == "" {
			return w.Flush()
		}
		if err != nil && err != io.EOF {
			return err
		}
		answer, err := answerCronQuery(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return fmt.Errorf("query %q: %w", line, err)
		}
		if _, err := fmt.Fprintln(w, answer); err != nil {
			return err
		}
	}
}

func answerCronQuery(line string) (string, error) {
	command, rest, _ := strings.Cut(line, "\t")
	switch command {
	case "next":
		columns := strings.SplitN(rest, "\t", 4) // an expression may contain tabs
		if len(columns) != 4 {
			return "", fmt.Errorf("want 4 columns after next")
		}
		from, err := strconv.ParseInt(columns[0], 10, 64)
		if err != nil {
			return "", err
		}
		n, err := strconv.Atoi(columns[2])
		if err != nil {
			return "", err
		}
		return nextTimes(time.Unix(from, 0), columns[1], columns[3], n)
	case "offsets":
		columns := strings.Split(rest, "\t")
		if len(columns) != 3 {
			return "", fmt.Errorf("want 3 columns after offsets")
		}
		from, err := strconv.ParseInt(columns[0], 10, 64)
		if err != nil {
			return "", err
		}
		until, err := strconv.ParseInt(columns[1], 10, 64)
		if err != nil {
			return "", err
		}
		return offsets(time.Unix(from, 0), time.Unix(until, 0), columns[2])
	default:
		return "", fmt.Errorf("unknown command %q", command)
	}
}

// nextTimes returns up to n times at which the CronJob controller starts a Job.
func nextTimes(from time.Time, zone, expression string, n int) (string, error) {
	if message := validateSchedule(zone, expression); message != "" {
		return "invalid " + message, nil
	}
	// As formatSchedule in pkg/controller/cronjob/cronjob_controllerv2.go.
	schedule, err := parsers.ParseCronScheduleWithPanicRecovery(fmt.Sprintf("TZ=%s %s", zone, expression))
	if err != nil {
		return "", fmt.Errorf("the API server accepts what the controller rejects: %w", err)
	}
	var times []string
	for t := schedule.Next(from); len(times) < n && !t.IsZero(); t = schedule.Next(t) {
		times = append(times, strconv.FormatInt(t.Unix(), 10))
	}
	return strings.Join(times, " "), nil
}

// offsets returns the offset at from, and each one that begins before until.
func offsets(from, until time.Time, zone string) (string, error) {
	if message := validateSchedule(zone, "@daily"); message != "" {
		return "invalid " + message, nil
	}
	location, err := time.LoadLocation(zone)
	if err != nil {
		return "", err
	}
	var pairs []string
	for t := from.In(location); t.Before(until); {
		_, offset := t.Zone()
		pairs = append(pairs, fmt.Sprintf("%d:%d", t.Unix(), offset))
		_, end := t.ZoneBounds()
		if end.IsZero() {
			break
		}
		t = end
	}
	return strings.Join(pairs, " "), nil
}

// validateSchedule returns the message with which the API server rejects a new CronJob
// because of its schedule or time zone, or "".
func validateSchedule(zone, expression string) string {
	grace := int64(30)
	job := batch.CronJob{
		ObjectMeta: metav1.ObjectMeta{Name: "query", Namespace: metav1.NamespaceDefault},
		Spec: batch.CronJobSpec{
			Schedule:          expression,
			TimeZone:          &zone,
			ConcurrencyPolicy: batch.AllowConcurrent,
			JobTemplate: batch.JobTemplateSpec{Spec: batch.JobSpec{Template: core.PodTemplateSpec{
				Spec: core.PodSpec{
					RestartPolicy:                 core.RestartPolicyNever,
					DNSPolicy:                     core.DNSClusterFirst,
					TerminationGracePeriodSeconds: &grace,
					Containers: []core.Container{{
						Name:                     "query",
						Image:                    "query",
						ImagePullPolicy:          core.PullIfNotPresent,
						TerminationMessagePolicy: core.TerminationMessageReadFile,
					}},
				},
			}}},
		},
	}
	errs := validation.ValidateCronJobCreate(&job, corevalidation.PodValidationOptions{})
	if len(errs) == 0 {
		return ""
	}
	return strings.ReplaceAll(errs.ToAggregate().Error(), "\n", " ")
}
