package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// What the network of a cloud adds to a cluster: addresses of pods, of balanced services and of ingresses.

// ingressAddress is that of the one ingress controller, which has every ingress.
const ingressAddress = "198.51.100.1"

// addresses gives each pod and each balanced service one of its own.
type addresses struct {
	mutex    sync.Mutex
	pods     uint32            // last given, within 10.64.0.0/10
	services map[string]string // address to namespace/name, within 203.0.113.0/24
}

// seedAddresses starts after the addresses that an earlier start gave.
func (k *kubelets) seedAddresses() error {
	k.addresses.services = map[string]string{}
	pods, err := k.pods.List(labels.Everything())
	if err != nil {
		return err
	}
	for _, pod := range pods {
		if ip := net.ParseIP(pod.Status.PodIP).To4(); ip != nil && ip[0] == 10 && ip[1] >= 64 && ip[1] < 128 {
			k.addresses.pods = max(k.addresses.pods, uint32(ip[1]-64)<<16|uint32(ip[2])<<8|uint32(ip[3]))
		}
	}
	services, err := k.services.List(labels.Everything())
	if err != nil {
		return err
	}
	for _, service := range services {
		for _, given := range service.Status.LoadBalancer.Ingress {
			k.addresses.services[given.IP] = service.Namespace + "/" + service.Name
		}
	}
	return nil
}

// forPod is a new address; after four million, the first come again.
func (a *addresses) forPod() string {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.pods = (a.pods + 1) & (1<<22 - 1)
	return fmt.Sprintf("10.%d.%d.%d", 64+a.pods>>16, a.pods>>8&255, a.pods&255)
}

// forService is the address of a service: the same again, or a free one; empty if there is none.
func (a *addresses) forService(service string, exists func(service string) bool) string {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	for ip, owner := range a.services {
		if owner == service {
			return ip
		}
	}
	for n := 1; n < 255; n++ {
		ip := fmt.Sprintf("203.0.113.%d", n)
		if owner, taken := a.services[ip]; !taken || !exists(owner) {
			a.services[ip] = service
			return ip
		}
	}
	return ""
}

// addressService gives a LoadBalancer service its address. One with a class is for another controller.
func (k *kubelets) addressService(ctx context.Context, item key) error {
	service, err := k.services.Services(item.namespace).Get(item.name)
	if err != nil || service.Spec.Type != core.ServiceTypeLoadBalancer || service.Spec.LoadBalancerClass != nil ||
		service.DeletionTimestamp != nil || len(service.Status.LoadBalancer.Ingress) > 0 {
		return nil
	}
	ip := k.addresses.forService(item.namespace+"/"+item.name, k.isBalanced)
	if ip == "" {
		k.recorders[""].Event(service, core.EventTypeWarning, "SyncLoadBalancerFailed", "no address is left")
		return errRefused
	}
	service = service.DeepCopy()
	service.Status.LoadBalancer.Ingress = []core.LoadBalancerIngress{{IP: ip}}
	if _, err = k.client.CoreV1().Services(item.namespace).UpdateStatus(ctx, service, metav1.UpdateOptions{}); err == nil {
		k.recorders[""].Event(service, core.EventTypeNormal, "EnsuredLoadBalancer", "Ensured load balancer")
	}
	return ignoreStale(err)
}

// isBalanced says whether a service still needs the address that it was given.
func (k *kubelets) isBalanced(service string) bool {
	namespace, name, _ := strings.Cut(service, "/")
	found, err := k.services.Services(namespace).Get(name)
	return !apierrors.IsNotFound(err) && (err != nil || found.Spec.Type == core.ServiceTypeLoadBalancer)
}

// ingressClass is the default one. An ingress of any other class gets an address as well.
func ingressClass() *networking.IngressClass {
	return &networking.IngressClass{
		ObjectMeta: metav1.ObjectMeta{Name: "nginx", Annotations: map[string]string{networking.AnnotationIsDefaultIngressClass: "true"}},
		Spec:       networking.IngressClassSpec{Controller: "controlplane.test/ingress"}}
}

// addressIngress gives an ingress the address of the ingress controller.
func (k *kubelets) addressIngress(ctx context.Context, item key) error {
	ingress, err := k.ingresses.Ingresses(item.namespace).Get(item.name)
	if err != nil || ingress.DeletionTimestamp != nil || len(ingress.Status.LoadBalancer.Ingress) > 0 {
		return nil
	}
	ingress = ingress.DeepCopy()
	ingress.Status.LoadBalancer.Ingress = []networking.IngressLoadBalancerIngress{{IP: ingressAddress}}
	if _, err = k.client.NetworkingV1().Ingresses(item.namespace).UpdateStatus(ctx, ingress, metav1.UpdateOptions{}); err == nil {
		k.recorders[""].Event(ingress, core.EventTypeNormal, "Sync", "Scheduled for sync")
	}
	return ignoreStale(err)
}
