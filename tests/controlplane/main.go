// Controlplane runs a whole Kubernetes control plane on loopback, from one executable and without root, for tests.
//
//	controlplane up --data DIR          etcd, API server, controller manager, scheduler and played nodes;
//	                                    prints one line of JSON when ready, ends when standard input closes
//	controlplane kubectl ARGS           the ordinary client
//	controlplane COMPONENT ARGS         one component alone, with its own flags
//
// The components are the published ones. Only the nodes and the cloud around them are played (kubelets):
// no container ever runs, but a pod gets ready only when its images are in their registry, complete and for
// the architecture of its node.
//
// The files: up (a cluster's life), folder (what it keeps), keys (its authority), children (its processes),
// kubelets (nodes and the queue of work), pods, images, references, status and faults (what a kubelet does),
// claims, addresses and logs (what a cloud does). README.md tells how to use it.
package main

import (
	"context"
	"fmt"
	"os"
	"time"
	_ "time/tzdata" // for CronJobs with a time zone

	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	manager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

// components are the subcommands. Each reads os.Args and returns, if at all, the exit status.
var components = map[string]func() int{
	"up":                      func() int { return cli.Run(upCommand()) },
	"kubelets":                func() int { return cli.Run(kubeletsCommand()) },
	"etcd":                    func() int { etcdmain.Main(os.Args); return 0 },
	"kube-apiserver":          func() int { return cli.Run(apiserver.NewAPIServerCommand()) },
	"kube-controller-manager": func() int { return cli.Run(manager.NewControllerManagerCommand()) },
	"kube-scheduler":          func() int { return cli.Run(scheduler.NewSchedulerCommand()) },
	"kubectl": func() int {
		if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
			util.CheckErr(err) // prints it as kubectl does and exits
		}
		return 0
	},
}

const usage = `usage: controlplane COMMAND [flags]

  up         start a cluster: etcd, API server, controller manager, scheduler and played nodes
  kubectl    the ordinary client

and, each alone with its own flags: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubelets.
--help after a command lists its flags.
`

func main() {
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if name := os.Args[1]; name == "help" || name == "--help" || name == "-h" {
		fmt.Print(usage)
		return
	}
	if !dispatch() {
		fmt.Fprintf(os.Stderr, "controlplane: unknown command %q\n\n%s", os.Args[1], usage)
		os.Exit(2)
	}
}

// dispatch runs the component that the first argument names, and exits with its status; false if there is none.
func dispatch() bool {
	run, ok := components[os.Args[1]]
	if ok {
		os.Args = os.Args[1:]
		os.Exit(run())
	}
	return ok
}

// eventually calls check every 50 ms until it succeeds, and returns its last error when the time is up.
func eventually(ctx context.Context, limit time.Duration, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}
