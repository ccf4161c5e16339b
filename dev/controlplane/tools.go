//go:build tools

// This file pins the versions of programs that are built from this module but not
// imported by it: `go build -o kubectl k8s.io/kubernetes/cmd/kubectl`.
package main

import (
	_ "k8s.io/kubectl/pkg/cmd"
	_ "k8s.io/kubernetes/cmd/kubectl"
)
