//go:build tools

// This file holds the versions of the programs that are built from this module but
// not imported by it, so that one go.mod decides them all: kubectl is built with
// `go build -o kubectl k8s.io/kubernetes/cmd/kubectl`.
package main

import (
	_ "k8s.io/kubectl/pkg/cmd"
	_ "k8s.io/kubernetes/cmd/kubectl"
)
