package main

import (
	"context"
	"errors"
	"slices"

	core "k8s.io/api/core/v1"
	storage "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// What the storage of a cloud adds to a cluster: volumes for claims, by class.

const (
	diskProvisioner  = "disk.controlplane.test"
	filesProvisioner = "files.controlplane.test"
	minimumParameter = "minimum" // of a storage class: smaller claims are refused
	provisionedBy    = "pv.kubernetes.io/provisioned-by"
	selectedNode     = "volume.kubernetes.io/selected-node"
	defaultClass     = "storageclass.kubernetes.io/is-default-class"
)

// errRefused brings a claim back that cannot be served as it is.
var errRefused = errors.New("the claim is refused")

// storageClasses are disks for one writer (the default) and files for many. Users may add classes with these provisioners.
func storageClasses() []storage.StorageClass {
	return []storage.StorageClass{
		{ObjectMeta: metav1.ObjectMeta{Name: "disk", Annotations: map[string]string{defaultClass: "true"}}, Provisioner: diskProvisioner,
			Parameters: map[string]string{minimumParameter: "1Gi"}, VolumeBindingMode: ptr.To(storage.VolumeBindingWaitForFirstConsumer),
			AllowVolumeExpansion: ptr.To(true)},
		{ObjectMeta: metav1.ObjectMeta{Name: "files"}, Provisioner: filesProvisioner, VolumeBindingMode: ptr.To(storage.VolumeBindingImmediate),
			AllowVolumeExpansion: ptr.To(true)},
	}
}

// offerClasses creates the classes of storage and of ingress, unless an earlier start did: they may be changed.
func (k *kubelets) offerClasses(ctx context.Context) error {
	for _, class := range storageClasses() {
		// Nothing attaches the volumes: pods start without waiting for it.
		driver := &storage.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: class.Provisioner}, Spec: storage.CSIDriverSpec{AttachRequired: ptr.To(false)}}
		if _, err := k.client.StorageV1().CSIDrivers().Create(ctx, driver, metav1.CreateOptions{}); ignoreExists(err) != nil {
			return err
		}
		if _, err := k.client.StorageV1().StorageClasses().Create(ctx, &class, metav1.CreateOptions{}); ignoreExists(err) != nil {
			return err
		}
	}
	_, err := k.client.NetworkingV1().IngressClasses().Create(ctx, ingressClass(), metav1.CreateOptions{})
	return ignoreExists(err)
}

func ignoreExists(err error) error {
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// sharesNodes says whether a volume of these access modes can be on several nodes.
func sharesNodes(modes []core.PersistentVolumeAccessMode) bool {
	return slices.Contains(modes, core.ReadWriteMany) || slices.Contains(modes, core.ReadOnlyMany)
}

// provision makes a volume for a claim as soon as its class lets it, or says in an event why not.
func (k *kubelets) provision(ctx context.Context, claim *core.PersistentVolumeClaim) error {
	class, err := k.classOf(ctx, claim)
	if class == nil || err != nil {
		return err
	}
	node, chosen := k.nodeIndex(claim.Annotations[selectedNode])
	waits := ptr.Deref(class.VolumeBindingMode, storage.VolumeBindingImmediate) == storage.VolumeBindingWaitForFirstConsumer
	if waits && !chosen {
		return nil // the annotation brings it back
	}
	if refusal := refusal(claim, class); refusal != "" {
		k.recorders[""].Eventf(claim, core.EventTypeWarning, "ProvisioningFailed", "failed to provision volume with StorageClass %q: %s", class.Name, refusal)
		return errRefused
	}
	volume := &core.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: "pvc-" + string(claim.UID), Annotations: map[string]string{provisionedBy: class.Provisioner}},
		Spec: core.PersistentVolumeSpec{Capacity: core.ResourceList{core.ResourceStorage: claim.Spec.Resources.Requests[core.ResourceStorage]},
			AccessModes: claim.Spec.AccessModes, StorageClassName: class.Name, VolumeMode: claim.Spec.VolumeMode, MountOptions: class.MountOptions,
			PersistentVolumeReclaimPolicy: ptr.Deref(class.ReclaimPolicy, core.PersistentVolumeReclaimDelete),
			PersistentVolumeSource:        core.PersistentVolumeSource{CSI: &core.CSIPersistentVolumeSource{Driver: class.Provisioner, VolumeHandle: string(claim.UID)}},
			ClaimRef:                      &core.ObjectReference{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID}}}
	if waits { // a disk is in the zone of its first pod
		volume.Spec.NodeAffinity = &core.VolumeNodeAffinity{Required: &core.NodeSelector{NodeSelectorTerms: []core.NodeSelectorTerm{{
			MatchExpressions: []core.NodeSelectorRequirement{{Key: core.LabelTopologyZone, Operator: core.NodeSelectorOpIn, Values: []string{zoneOf(node)}}}}}}}
	}
	_, err = k.client.CoreV1().PersistentVolumes().Create(ctx, volume, metav1.CreateOptions{})
	if err == nil {
		k.recorders[""].Eventf(claim, core.EventTypeNormal, "ProvisioningSucceeded", "Successfully provisioned volume %s", volume.Name)
	}
	return ignoreExists(err)
}

// classOf is the storage class of a claim, nil if there is none that is ours.
func (k *kubelets) classOf(ctx context.Context, claim *core.PersistentVolumeClaim) (*storage.StorageClass, error) {
	name := ptr.Deref(claim.Spec.StorageClassName, "")
	if name == "" {
		return nil, nil
	}
	class, err := k.client.StorageV1().StorageClasses().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, errRefused // it may come
	} else if err != nil {
		return nil, err
	}
	if class.Provisioner != diskProvisioner && class.Provisioner != filesProvisioner {
		return nil, nil
	}
	return class, nil
}

// refusal says why a class cannot serve a claim; empty if it can.
func refusal(claim *core.PersistentVolumeClaim, class *storage.StorageClass) string {
	if class.Provisioner == diskProvisioner && sharesNodes(claim.Spec.AccessModes) {
		return "a disk has one writer, its access mode is ReadWriteOnce or ReadWriteOncePod"
	}
	minimum, err := resource.ParseQuantity(class.Parameters[minimumParameter])
	if size := claim.Spec.Resources.Requests[core.ResourceStorage]; err == nil && size.Cmp(minimum) < 0 {
		return "a volume of this class has at least " + minimum.String()
	}
	return ""
}

// grow gives a bound claim the size that it asks for now: first it says so, then it enlarges volume and claim.
// The API server refuses growth where the class does not allow it, and shrinking.
func (k *kubelets) grow(ctx context.Context, item key, claim *core.PersistentVolumeClaim) error {
	size, has := claim.Spec.Resources.Requests[core.ResourceStorage], claim.Status.Capacity[core.ResourceStorage]
	if claim.Status.Phase != core.ClaimBound || size.Cmp(has) <= 0 {
		return nil
	}
	volume, err := k.volumes.Get(claim.Spec.VolumeName)
	if err != nil || !isOurs(volume) {
		return nil
	}
	resizing := slices.ContainsFunc(claim.Status.Conditions, func(c core.PersistentVolumeClaimCondition) bool {
		return c.Type == core.PersistentVolumeClaimResizing
	})
	claim.Status.AllocatedResources = core.ResourceList{core.ResourceStorage: size}
	if !resizing {
		k.recorders[""].Eventf(claim, core.EventTypeNormal, "Resizing", "External resizer is resizing volume %s", volume.Name)
		now := metav1.Now()
		claim.Status.Conditions = append(claim.Status.Conditions, core.PersistentVolumeClaimCondition{
			Type: core.PersistentVolumeClaimResizing, Status: core.ConditionTrue, LastProbeTime: now, LastTransitionTime: now})
		k.queue.AddAfter(item, k.delay)
		return k.writeClaim(ctx, claim)
	}
	if !equality.Semantic.DeepEqual(volume.Spec.Capacity[core.ResourceStorage], size) {
		volume = volume.DeepCopy()
		volume.Spec.Capacity[core.ResourceStorage] = size
		if _, err := k.client.CoreV1().PersistentVolumes().Update(ctx, volume, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	claim.Status.Capacity[core.ResourceStorage] = size
	claim.Status.Conditions = slices.DeleteFunc(claim.Status.Conditions, func(c core.PersistentVolumeClaimCondition) bool {
		return c.Type == core.PersistentVolumeClaimResizing
	})
	if err := k.writeClaim(ctx, claim); err != nil {
		return err
	}
	k.recorders[""].Eventf(claim, core.EventTypeNormal, "VolumeResizeSuccessful", "Resize volume succeeded")
	return nil
}

func (k *kubelets) writeClaim(ctx context.Context, claim *core.PersistentVolumeClaim) error {
	_, err := k.client.CoreV1().PersistentVolumeClaims(claim.Namespace).UpdateStatus(ctx, claim, metav1.UpdateOptions{})
	return ignoreStale(err)
}

// reclaim deletes a volume of ours whose claim is gone, where its policy says so.
func (k *kubelets) reclaim(ctx context.Context, item key) error {
	volume, err := k.volumes.Get(item.name)
	if err != nil || !isOurs(volume) || volume.Status.Phase != core.VolumeReleased || volume.DeletionTimestamp != nil ||
		volume.Spec.PersistentVolumeReclaimPolicy != core.PersistentVolumeReclaimDelete {
		return nil
	}
	return ignoreStale(k.client.CoreV1().PersistentVolumes().Delete(ctx, volume.Name, metav1.DeleteOptions{}))
}

func isOurs(volume *core.PersistentVolume) bool {
	by := volume.Annotations[provisionedBy]
	return by == diskProvisioner || by == filesProvisioner
}
