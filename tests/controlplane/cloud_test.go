package main

import (
	"fmt"
	"testing"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

func (r room) claim(name, class, size string, mode core.PersistentVolumeAccessMode) {
	r.Helper()
	_, err := r.client.CoreV1().PersistentVolumeClaims(r.namespace).Create(r, &core.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: core.PersistentVolumeClaimSpec{StorageClassName: ptr.To(class), AccessModes: []core.PersistentVolumeAccessMode{mode},
			Resources: core.VolumeResourceRequirements{Requests: core.ResourceList{core.ResourceStorage: resource.MustParse(size)}}}}, metav1.CreateOptions{})
	r.must(err)
}

func (r room) awaitClaim(name, what string, is func(*core.PersistentVolumeClaim) bool) *core.PersistentVolumeClaim {
	r.Helper()
	var claim *core.PersistentVolumeClaim
	r.await("claim "+name+" must "+what, func() (err error) {
		if claim, err = r.client.CoreV1().PersistentVolumeClaims(r.namespace).Get(r, name, metav1.GetOptions{}); err == nil && !is(claim) {
			err = fmt.Errorf("status is %+v", claim.Status)
		}
		return err
	})
	return claim
}

func (r room) awaitBound(name string) *core.PersistentVolumeClaim {
	r.Helper()
	return r.awaitClaim(name, "be bound", func(claim *core.PersistentVolumeClaim) bool { return claim.Status.Phase == core.ClaimBound })
}

// mounting is a change of a pod that mounts claims.
func mounting(claims ...string) func(*core.Pod) {
	return func(pod *core.Pod) {
		for _, claim := range claims {
			pod.Spec.Volumes = append(pod.Spec.Volumes, core.Volume{Name: claim, VolumeSource: core.VolumeSource{
				PersistentVolumeClaim: &core.PersistentVolumeClaimVolumeSource{ClaimName: claim}}})
		}
	}
}

func TestDiskWaitsForAPodAndHasOneWriterAndAMinimum(t *testing.T) {
	r, l := enter(t, nil), newLibrary(t)
	image := l.amd64()
	r.claim("good", "disk", "2Gi", core.ReadWriteOnce)
	r.claim("small", "disk", "1Mi", core.ReadWriteOnce)
	r.claim("shared", "disk", "2Gi", core.ReadWriteMany)
	r.awaitEvent("good", "WaitForFirstConsumer", "")
	for _, name := range []string{"good", "small", "shared"} {
		r.pod(name, mounting(name), image)
	}
	pod := r.awaitReady("good")
	volume, err := r.client.CoreV1().PersistentVolumes().Get(r, r.awaitBound("good").Spec.VolumeName, metav1.GetOptions{})
	must(t, err)
	if zone := volume.Spec.NodeAffinity.Required.NodeSelectorTerms[0].MatchExpressions[0].Values[0]; pod.Spec.NodeName == "" || zone != "zone-0" {
		t.Errorf("the disk is in %s and its pod on %s", zone, pod.Spec.NodeName)
	}
	r.awaitEvent("small", "ProvisioningFailed", "at least 1Gi")
	r.awaitEvent("shared", "ProvisioningFailed", "one writer")
	for _, name := range []string{"small", "shared"} {
		r.awaitPhase(name, core.PodPending)
	}
}

func TestDiskIsWithOneNodeAtATime(t *testing.T) {
	r, l := enter(t, nil), newLibrary(t)
	image := l.both()
	r.claim("disk", "disk", "1Gi", core.ReadWriteOnce)
	on := func(node string) func(*core.Pod) {
		return func(pod *core.Pod) {
			mounting("disk")(pod)
			pod.Spec.NodeSelector = map[string]string{core.LabelHostname: node}
		}
	}
	r.pod("first", on("node-0"), image)
	r.awaitReady("first")
	r.pod("beside", on("node-0"), image)
	r.awaitReady("beside")
	r.pod("second", on("node-2"), image)
	r.awaitEvent("second", "FailedAttachVolume", "Multi-Attach error")
	for _, name := range []string{"first", "beside"} {
		must(t, r.client.CoreV1().Pods(r.namespace).Delete(r, name, metav1.DeleteOptions{}))
	}
	r.awaitReady("second")
}

func TestFilesAreBoundAtOnceForManyWriters(t *testing.T) {
	r := enter(t, nil)
	r.claim("files", "files", "1Mi", core.ReadWriteMany)
	name := r.awaitBound("files").Spec.VolumeName
	must(t, r.client.CoreV1().PersistentVolumeClaims(r.namespace).Delete(r, "files", metav1.DeleteOptions{}))
	r.await("the volume must go with its claim", func() error {
		_, err := r.client.CoreV1().PersistentVolumes().Get(r, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("got %v", err)
	})
}

func TestClaimGrowsAndDoesNotShrink(t *testing.T) {
	r := enter(t, nil)
	r.claim("files", "files", "1Gi", core.ReadWriteMany)
	volume := r.awaitBound("files").Spec.VolumeName
	resize := func(size string) error {
		_, err := r.client.CoreV1().PersistentVolumeClaims(r.namespace).Patch(r, "files", types.MergePatchType,
			fmt.Appendf(nil, `{"spec":{"resources":{"requests":{"storage":%q}}}}`, size), metav1.PatchOptions{})
		return err
	}
	must(t, resize("5Gi"))
	r.awaitClaim("files", "have 5Gi", func(claim *core.PersistentVolumeClaim) bool {
		size := claim.Status.Capacity[core.ResourceStorage]
		return size.String() == "5Gi" && len(claim.Status.Conditions) == 0
	})
	r.awaitEvent("files", "Resizing", "")
	r.awaitEvent("files", "VolumeResizeSuccessful", "")
	grown, err := r.client.CoreV1().PersistentVolumes().Get(r, volume, metav1.GetOptions{})
	must(t, err)
	if size := grown.Spec.Capacity[core.ResourceStorage]; size.String() != "5Gi" {
		t.Errorf("the volume has %s", size.String())
	}
	if err := resize("2Gi"); err == nil {
		t.Error("shrinking must be refused")
	}
}

func TestBalancedServiceAndIngressGetAddresses(t *testing.T) {
	r := enter(t, nil)
	ips := map[string]bool{}
	for _, name := range []string{"one", "two"} {
		_, err := r.client.CoreV1().Services(r.namespace).Create(r, &core.Service{ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: core.ServiceSpec{Type: core.ServiceTypeLoadBalancer, Ports: []core.ServicePort{{Port: 80}}}}, metav1.CreateOptions{})
		must(t, err)
		r.await("the service must have an address", func() error {
			service, err := r.client.CoreV1().Services(r.namespace).Get(r, name, metav1.GetOptions{})
			if err != nil || len(service.Status.LoadBalancer.Ingress) != 1 {
				return fmt.Errorf("got %v, %v", service.Status, err)
			}
			ips[service.Status.LoadBalancer.Ingress[0].IP] = true
			return nil
		})
	}
	if len(ips) != 2 {
		t.Errorf("each service must have its own address, got %v", ips)
	}
	for name, class := range map[string]*string{"default": nil, "other": ptr.To("alb")} {
		_, err := r.client.NetworkingV1().Ingresses(r.namespace).Create(r, &networking.Ingress{ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: networking.IngressSpec{IngressClassName: class, DefaultBackend: &networking.IngressBackend{
				Service: &networking.IngressServiceBackend{Name: "one", Port: networking.ServiceBackendPort{Number: 80}}}}}, metav1.CreateOptions{})
		must(t, err)
		r.await("the ingress must have an address", func() error {
			ingress, err := r.client.NetworkingV1().Ingresses(r.namespace).Get(r, name, metav1.GetOptions{})
			if err != nil || len(ingress.Status.LoadBalancer.Ingress) != 1 || ingress.Status.LoadBalancer.Ingress[0].IP == "" || ingress.Spec.IngressClassName == nil {
				return fmt.Errorf("got %+v, %v", ingress, err)
			}
			return nil
		})
	}
}
