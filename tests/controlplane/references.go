package main

import (
	"context"
	"fmt"
	"slices"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What a pod refers to in its namespace: ConfigMaps, Secrets and disks.

// references looks up the ConfigMaps and Secrets of a namespace, each once.
type references struct {
	k         *kubelets
	namespace string
	known     map[string]map[string]bool // kind/name to keys; nil is missing
}

func (k *kubelets) references(namespace string) *references {
	return &references{k: k, namespace: namespace, known: map[string]map[string]bool{}}
}

// missingError is of a reference that a kubelet waits for; other errors are of the API server.
type missingError string

func (e missingError) Error() string { return string(e) }

// need returns a missingError if an object, or a key of it, is missing.
func (r *references) need(ctx context.Context, kind, name, key string, optional *bool) error {
	if optional != nil && *optional {
		return nil
	}
	keys, err := r.keys(ctx, kind, name)
	switch {
	case err != nil:
		return err
	case keys == nil:
		return missingError(fmt.Sprintf("%s %q not found", map[string]string{"ConfigMap": "configmap", "Secret": "secret"}[kind], name))
	case key != "" && !keys[key]:
		return missingError(fmt.Sprintf("couldn't find key %s in %s %s/%s", key, kind, r.namespace, name))
	}
	return nil
}

func (r *references) keys(ctx context.Context, kind, name string) (map[string]bool, error) {
	id := kind + "/" + name
	if keys, ok := r.known[id]; ok {
		return keys, nil
	}
	keys := map[string]bool{}
	var err error
	if kind == "ConfigMap" {
		var object *core.ConfigMap
		if object, err = r.k.client.CoreV1().ConfigMaps(r.namespace).Get(ctx, name, metav1.GetOptions{}); err == nil {
			for key := range object.Data {
				keys[key] = true
			}
			for key := range object.BinaryData {
				keys[key] = true
			}
		}
	} else {
		var object *core.Secret
		if object, err = r.k.client.CoreV1().Secrets(r.namespace).Get(ctx, name, metav1.GetOptions{}); err == nil {
			for key := range object.Data {
				keys[key] = true
			}
		}
	}
	if apierrors.IsNotFound(err) {
		keys, err = nil, nil
	}
	if err == nil {
		r.known[id] = keys
	}
	return keys, err
}

// environment checks what the environment of a container refers to.
func (r *references) environment(ctx context.Context, container *core.Container) error {
	for _, from := range container.EnvFrom {
		if source := from.ConfigMapRef; source != nil {
			if err := r.need(ctx, "ConfigMap", source.Name, "", source.Optional); err != nil {
				return err
			}
		}
		if source := from.SecretRef; source != nil {
			if err := r.need(ctx, "Secret", source.Name, "", source.Optional); err != nil {
				return err
			}
		}
	}
	for _, variable := range container.Env {
		if variable.ValueFrom == nil {
			continue
		}
		if source := variable.ValueFrom.ConfigMapKeyRef; source != nil {
			if err := r.need(ctx, "ConfigMap", source.Name, source.Key, source.Optional); err != nil {
				return err
			}
		}
		if source := variable.ValueFrom.SecretKeyRef; source != nil {
			if err := r.need(ctx, "Secret", source.Name, source.Key, source.Optional); err != nil {
				return err
			}
		}
	}
	return nil
}

// volumes checks the files that the volumes of a pod are made of; a missingError names the volume.
func (r *references) volumes(ctx context.Context, pod *core.Pod) error {
	for _, volume := range pod.Spec.Volumes {
		for _, file := range filesOf(volume) {
			err := r.need(ctx, file.kind, file.name, "", file.optional)
			for i := 0; err == nil && i < len(file.items); i++ {
				err = r.need(ctx, file.kind, file.name, file.items[i].Key, file.optional)
			}
			if missing, ok := err.(missingError); ok {
				return missingError(fmt.Sprintf("MountVolume.SetUp failed for volume %q : %s", volume.Name, missing))
			} else if err != nil {
				return err
			}
		}
	}
	return nil
}

// files of a ConfigMap or Secret: those in items, all if there are none.
type files struct {
	kind, name string
	items      []core.KeyToPath
	optional   *bool
}

func filesOf(volume core.Volume) (list []files) {
	if source := volume.ConfigMap; source != nil {
		list = append(list, files{"ConfigMap", source.Name, source.Items, source.Optional})
	}
	if source := volume.Secret; source != nil {
		list = append(list, files{"Secret", source.SecretName, source.Items, source.Optional})
	}
	if volume.Projected == nil {
		return list
	}
	for _, projected := range volume.Projected.Sources {
		if source := projected.ConfigMap; source != nil {
			list = append(list, files{"ConfigMap", source.Name, source.Items, source.Optional})
		}
		if source := projected.Secret; source != nil {
			list = append(list, files{"Secret", source.Name, source.Items, source.Optional})
		}
	}
	return list
}

// disks returns an error if a disk of the pod, which one node at a time can have, is with a pod of another node that was first.
func (k *kubelets) disks(pod *core.Pod) error {
	var others []*core.Pod
	for name := range exclusiveClaims(k, pod) {
		if others == nil {
			for _, other := range k.podsOf(pod.Namespace) {
				if other.UID != pod.UID && other.Spec.NodeName != pod.Spec.NodeName && other.Status.StartTime != nil && !isTerminal(other) &&
					(hasStarted(other) || isEarlier(other, pod)) {
					others = append(others, other)
				}
			}
		}
		for _, other := range others {
			if slices.Contains(claimsOf(other), name) {
				return missingError(fmt.Sprintf("Multi-Attach error for volume of claim %q: Volume is already used by pod(s) %s", name, other.Name))
			}
		}
	}
	return nil
}

// exclusiveClaims are the claims of a pod that only nodes one at a time can have.
func exclusiveClaims(k *kubelets, pod *core.Pod) map[string]bool {
	exclusive := map[string]bool{}
	for _, name := range claimsOf(pod) {
		claim, err := k.claims.PersistentVolumeClaims(pod.Namespace).Get(name)
		if err == nil && !sharesNodes(claim.Spec.AccessModes) {
			exclusive[name] = true
		}
	}
	return exclusive
}

func claimsOf(pod *core.Pod) (names []string) {
	for _, volume := range pod.Spec.Volumes {
		if volume.PersistentVolumeClaim != nil {
			names = append(names, volume.PersistentVolumeClaim.ClaimName)
		}
		if volume.Ephemeral != nil {
			names = append(names, pod.Name+"-"+volume.Name)
		}
	}
	return names
}

// isEarlier orders pods that have not got their disk yet by their start; the UID decides within a second.
func isEarlier(a, b *core.Pod) bool {
	if b.Status.StartTime == nil || !a.Status.StartTime.Equal(b.Status.StartTime) {
		return b.Status.StartTime == nil || a.Status.StartTime.Before(b.Status.StartTime)
	}
	return a.UID < b.UID
}
