package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	coordination "k8s.io/api/coordination/v1"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcore "k8s.io/client-go/kubernetes/typed/core/v1"
	listers "k8s.io/client-go/listers/core/v1"
	networklisters "k8s.io/client-go/listers/networking/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/component-base/version"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
)

// kubelets plays the nodes of a cluster and the cloud around them: it runs no container, but reports of pods,
// claims, services and ingresses what kubelets and the controllers of a cloud would report.
type kubelets struct {
	client        *clientset.Clientset
	nodes         int
	architectures []string // of node i: number i modulo their count
	delay         time.Duration
	trust         bool // in images of registries elsewhere
	port          int  // of the log server

	pods      listers.PodLister
	claims    listers.PersistentVolumeClaimLister
	volumes   listers.PersistentVolumeLister
	services  listers.ServiceLister
	ingresses networklisters.IngressLister
	queue     workqueue.TypedRateLimitingInterface[key]
	addresses addresses
	recorders map[string]record.EventRecorder // by node; "" is the cloud
}

// key names an object that may need something done.
type key struct{ kind, namespace, name string }

const (
	workers       = 32 // pods that wait for a slow registry at once
	renewal       = 10 * time.Second
	leaseDuration = 40 * time.Second
)

func kubeletsCommand() *cobra.Command {
	var kubeconfig, certificate, privateKey, authority, architecture string
	k := kubelets{}
	command := &cobra.Command{Use: "kubelets", Short: "play the nodes of a cluster", Args: cobra.NoArgs, SilenceUsage: true,
		RunE: func(command *cobra.Command, _ []string) (err error) {
			k.architectures = strings.Split(architecture, ",")
			if k.client, err = connect(kubeconfig); err != nil {
				return err
			}
			if err := k.listen(certificate, privateKey, authority); err != nil {
				return err
			}
			return k.run(command.Context())
		}}
	command.Flags().StringVar(&kubeconfig, "kubeconfig", "", "cluster to join")
	command.Flags().StringVar(&certificate, "certificate", "", "certificate of the log server")
	command.Flags().StringVar(&privateKey, "key", "", "key of the log server")
	command.Flags().StringVar(&authority, "authority", "", "certificate that signed those of the log server's clients")
	command.Flags().IntVar(&k.port, "port", 0, "port of the log server on 127.0.0.1")
	command.Flags().StringVar(&architecture, "architecture", "amd64", "architecture of the nodes; several, separated by commas, take turns")
	command.Flags().BoolVar(&k.trust, "trust", false, "take images of registries that are not on this machine for pulled")
	command.Flags().IntVar(&k.nodes, "nodes", 3, "number of nodes")
	command.Flags().DurationVar(&k.delay, "delay", 200*time.Millisecond, "time a pod takes from bound to running")
	return command
}

func (k *kubelets) run(ctx context.Context) error {
	k.startRecorders()
	k.queue = workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[key](200*time.Millisecond, 5*time.Second))
	if err := k.watch(ctx); err != nil {
		return err
	}
	if err := k.seedAddresses(); err != nil {
		return err
	}
	if err := k.offerClasses(ctx); err != nil {
		return err
	}
	if err := k.removeExtraNodes(ctx); err != nil {
		return err
	}
	for range workers {
		go k.work(ctx)
	}
	for {
		for i := range k.nodes {
			if err := k.heartbeat(ctx, i); err != nil {
				klog.ErrorS(err, "Heartbeat failed", "node", nodeName(i))
			}
		}
		time.Sleep(renewal)
	}
}

// watch fills the listers and puts every object that appears or changes into the queue.
func (k *kubelets) watch(ctx context.Context) error {
	factory := informers.NewSharedInformerFactory(k.client, 0)
	pods, claims, volumes := factory.Core().V1().Pods(), factory.Core().V1().PersistentVolumeClaims(), factory.Core().V1().PersistentVolumes()
	services, ingresses := factory.Core().V1().Services(), factory.Networking().V1().Ingresses()
	k.pods, k.claims, k.volumes = pods.Lister(), claims.Lister(), volumes.Lister()
	k.services, k.ingresses = services.Lister(), ingresses.Lister()
	for kind, informer := range map[string]cache.SharedIndexInformer{"Pod": pods.Informer(), "PersistentVolumeClaim": claims.Informer(),
		"PersistentVolume": volumes.Informer(), "Service": services.Informer(), "Ingress": ingresses.Informer()} {
		enqueue := func(object any) {
			if meta, ok := object.(metav1.Object); ok {
				k.queue.Add(key{kind, meta.GetNamespace(), meta.GetName()})
			}
		}
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: enqueue, UpdateFunc: func(_, object any) { enqueue(object) }}); err != nil {
			return err
		}
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	return ctx.Err()
}

// startRecorders makes a recorder of events for each node and one for the cloud.
func (k *kubelets) startRecorders() {
	broadcaster := record.NewBroadcaster()
	broadcaster.StartRecordingToSink(&typedcore.EventSinkImpl{Interface: k.client.CoreV1().Events("")})
	k.recorders = map[string]record.EventRecorder{"": broadcaster.NewRecorder(scheme.Scheme, core.EventSource{Component: "cloud.controlplane.test"})}
	for i := range k.nodes {
		k.recorders[nodeName(i)] = broadcaster.NewRecorder(scheme.Scheme, core.EventSource{Component: "kubelet", Host: nodeName(i)})
	}
}

func (k *kubelets) work(ctx context.Context) {
	for {
		item, stopped := k.queue.Get()
		if stopped {
			return
		}
		if err := k.reconcile(ctx, item); err == nil {
			k.queue.Forget(item)
		} else {
			klog.V(2).InfoS("Will be tried again", "kind", item.kind, "object", klog.KRef(item.namespace, item.name), "err", err)
			k.queue.AddRateLimited(item)
		}
		k.queue.Done(item)
	}
}

// reconcile does the next thing that an object needs. An error brings the object back later, each time after a longer wait.
func (k *kubelets) reconcile(ctx context.Context, item key) error {
	switch item.kind {
	case "Pod":
		pod, err := k.pods.Pods(item.namespace).Get(item.name)
		if err != nil || k.recorders[pod.Spec.NodeName] == nil || pod.Spec.NodeName == "" {
			return nil // gone, or of no node of ours
		}
		return k.reconcilePod(ctx, item, pod)
	case "PersistentVolumeClaim":
		claim, err := k.claims.PersistentVolumeClaims(item.namespace).Get(item.name)
		if err != nil || claim.DeletionTimestamp != nil {
			return nil
		}
		if claim.Spec.VolumeName == "" {
			return k.provision(ctx, claim)
		}
		return k.grow(ctx, item, claim.DeepCopy())
	case "PersistentVolume":
		return k.reclaim(ctx, item)
	case "Service":
		return k.addressService(ctx, item)
	default:
		return k.addressIngress(ctx, item)
	}
}

// Nodes.

func nodeName(i int) string { return fmt.Sprintf("node-%d", i) }

// zoneOf is the zone of node i: there are two.
func zoneOf(i int) string { return fmt.Sprintf("zone-%d", i%2) }

// nodeIndex is the number of a node of ours.
func (k *kubelets) nodeIndex(name string) (int, bool) {
	number, ok := strings.CutPrefix(name, "node-")
	i, err := strconv.Atoi(number)
	return i, ok && err == nil && i >= 0 && i < k.nodes && nodeName(i) == name
}

func (k *kubelets) architecture(i int) string { return k.architectures[i%len(k.architectures)] }

func isNodeReady(node *core.Node) bool {
	for _, condition := range node.Status.Conditions {
		if condition.Type == core.NodeReady {
			return condition.Status == core.ConditionTrue
		}
	}
	return false
}

// heartbeat renews the lease of a node, and registers the node where it is new, was deleted, has changed or was given up for lost.
func (k *kubelets) heartbeat(ctx context.Context, i int) error {
	nodes := k.client.CoreV1().Nodes()
	wanted := k.node(i)
	node, err := nodes.Get(ctx, wanted.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		node, err = nodes.Create(ctx, wanted, metav1.CreateOptions{})
	}
	if err != nil {
		return err
	}
	if node.Labels[core.LabelArchStable] != k.architecture(i) {
		node.Labels[core.LabelArchStable] = k.architecture(i)
		if node, err = nodes.Update(ctx, node, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	if !isNodeReady(node) || node.Status.NodeInfo != wanted.Status.NodeInfo || node.Status.DaemonEndpoints != wanted.Status.DaemonEndpoints {
		node.Status = wanted.Status
		if _, err := nodes.UpdateStatus(ctx, node, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	return k.renewLease(ctx, wanted.Name)
}

// node is node i as it registers.
func (k *kubelets) node(i int) *core.Node {
	room := core.ResourceList{core.ResourceCPU: resource.MustParse("64"), core.ResourceMemory: resource.MustParse("256Gi"),
		core.ResourcePods: resource.MustParse("5000"), core.ResourceEphemeralStorage: resource.MustParse("1Ti")}
	now := metav1.Now()
	condition := func(kind core.NodeConditionType, status core.ConditionStatus, reason string) core.NodeCondition {
		return core.NodeCondition{Type: kind, Status: status, Reason: reason, LastHeartbeatTime: now, LastTransitionTime: now}
	}
	return &core.Node{
		ObjectMeta: metav1.ObjectMeta{Name: nodeName(i), Labels: map[string]string{core.LabelHostname: nodeName(i), core.LabelOSStable: "linux",
			core.LabelArchStable: k.architecture(i), core.LabelTopologyZone: zoneOf(i), core.LabelTopologyRegion: "region-0"}},
		Status: core.NodeStatus{Capacity: room, Allocatable: room,
			Conditions: []core.NodeCondition{
				condition(core.NodeMemoryPressure, core.ConditionFalse, "KubeletHasSufficientMemory"),
				condition(core.NodeDiskPressure, core.ConditionFalse, "KubeletHasNoDiskPressure"),
				condition(core.NodePIDPressure, core.ConditionFalse, "KubeletHasSufficientPID"),
				condition(core.NodeReady, core.ConditionTrue, "KubeletReady")},
			Addresses:       []core.NodeAddress{{Type: core.NodeInternalIP, Address: "127.0.0.1"}, {Type: core.NodeHostName, Address: nodeName(i)}},
			DaemonEndpoints: core.NodeDaemonEndpoints{KubeletEndpoint: core.DaemonEndpoint{Port: int32(k.port)}},
			NodeInfo: core.NodeSystemInfo{OperatingSystem: "linux", Architecture: k.architecture(i), KubeletVersion: version.Get().GitVersion,
				OSImage: "played", ContainerRuntimeVersion: "played://1"}}}
}

func (k *kubelets) renewLease(ctx context.Context, node string) error {
	leases := k.client.CoordinationV1().Leases(core.NamespaceNodeLease)
	now := metav1.NowMicro()
	lease, err := leases.Get(ctx, node, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err = leases.Create(ctx, &coordination.Lease{ObjectMeta: metav1.ObjectMeta{Name: node}, Spec: coordination.LeaseSpec{
			HolderIdentity: &node, LeaseDurationSeconds: ptr.To(int32(leaseDuration.Seconds())), RenewTime: &now}}, metav1.CreateOptions{})
		return err
	}
	if err != nil {
		return err
	}
	lease.Spec.RenewTime = &now
	_, err = leases.Update(ctx, lease, metav1.UpdateOptions{})
	return err
}

// removeExtraNodes removes what an earlier start with more nodes left.
func (k *kubelets) removeExtraNodes(ctx context.Context) error {
	list, err := k.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, node := range list.Items {
		if _, ours := k.nodeIndex(node.Name); ours || node.Status.NodeInfo.OSImage != "played" {
			continue
		}
		if err := k.client.CoreV1().Nodes().Delete(ctx, node.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return nil
}

// ignoreStale takes a write that came too late for none: the change that was first brings the object back.
func ignoreStale(err error) error {
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
