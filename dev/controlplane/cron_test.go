package main

import (
	"strings"
	"testing"
)

func TestCronAnswersOneLineForEachQuery(t *testing.T) {
	for query, want := range map[string]string{
		"next\t1700000000\tEurope/Berlin\t2\t0 2 * * *":        "1700010000 1700096400",
		"next\t1700000000\tEtc/UTC\t2\t@every 90s":             "1700000090 1700000180",
		"next\t1700000000\tEtc/UTC\t2\t0 0 31 2 *":             "",
		"next\t1700000000\tEtc/UTC\t2\t0\t0 * * *":             "1700006400 1700092800",
		"next\t1700000000\tEtc/UTC\t2\t60 * * * *":             "invalid spec.schedule",
		"next\t1700000000\tEtc/UTC\t2\tTZ=UTC 0 * * * *":       "invalid spec.schedule",
		"next\t1700000000\tLocal\t2\t0 * * * *":                "invalid spec.timeZone",
		"next\t1700000000\teurope/berlin\t2\t0 * * * *":        "invalid spec.timeZone",
		"offsets\t1700000000\t1720000000\tAustralia/Lord_Howe": "1700000000:39600 1712415600:37800",
		"offsets\t1700000000\t1720000000\tAustralia/Nowhere":   "invalid spec.timeZone",
	} {
		var out strings.Builder
		if err := answerCronQueries(strings.NewReader(query+"\n"), &out); err != nil {
			t.Fatalf("%q: %v", query, err)
		}
		got := out.String()
		if !strings.HasPrefix(got, want) || strings.Count(got, "\n") != 1 || (want == "" && got != "\n") {
			t.Errorf("%q: %q, want %q", query, got, want)
		}
	}
	for _, query := range []string{"", "next", "next\tx\tEtc/UTC\t1\t* * * * *", "offsets\t0\tEtc/UTC", "other\t"} {
		if err := answerCronQueries(strings.NewReader(query+"\n"), &strings.Builder{}); err == nil {
			t.Errorf("%q: no error", query)
		}
	}
}
