// Command controlplane runs a real local Kubernetes control plane without containers.
//
// One process holds etcd and a node whose pods are processes of this machine;
// kube-apiserver and kube-controller-manager are re-executions of the same binary,
// because each of them owns the signal handlers of its process.
//
//	up.go        the `up` command; the order of starting and stopping
//	config.go    certificates, kubeconfigs and flags of the two Kubernetes servers
//	child.go     a re-executed server: its log, its exit
//	etcd.go      the embedded etcd
//	cron.go      the `cron` command: when CronJobs run
//	internal/pki     certificate authority, certificates, kubeconfigs
//	internal/spawn   child processes that never outlive this one
//	internal/node    the node: pods as local processes
package main

import (
	"fmt"
	"os"
	_ "time/tzdata" // CronJob .spec.timeZone on machines without zone files

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

const usage = `controlplane runs a local Kubernetes control plane whose pods are processes of this machine.

Usage:
  controlplane up --data-dir DIR [--port N] [--node-name NAME]
  controlplane up --help
  controlplane kube-apiserver [FLAGS]             only this server, with upstream's flags
  controlplane kube-controller-manager [FLAGS]    only this server, with upstream's flags
  controlplane cron < QUERIES                     how Kubernetes reads cron expressions
`

// Exit codes: 0 stopped by a signal, 1 error, 2 invalid usage.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	os.Exit(run(os.Args))
}

func run(args []string) int {
	if len(args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		return exitUsage
	}
	switch args[1] {
	case "up":
		return up(args[2:])
	case apiserverName:
		return server(apiserver.NewAPIServerCommand(), args)
	case controllerManagerName:
		return server(controllermanager.NewControllerManagerCommand(), args)
	case "cron":
		return cron(args[2:])
	case "help", "-h", "-help", "--help":
		fmt.Print(usage)
		return 0
	default:
		fmt.Fprintf(os.Stderr, "controlplane: unknown command or flag %q\n\n%s", args[1], usage)
		return exitUsage
	}
}

// server runs one of the Kubernetes servers in this process.
func server(command *cobra.Command, args []string) int {
	os.Args = args[1:] // the server's own name, then its flags
	return cli.Run(command)
}
