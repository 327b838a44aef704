package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/authn/kubernetes"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// pullLimit is the time that a registry has for one image.
const pullLimit = 10 * time.Second

// pulled is an image that a node could take.
type pulled struct {
	id   string // repository@digest
	size int64  // bytes of its layers
	took time.Duration
}

var (
	errInvalidName = errors.New("couldn't parse image name")
	errNeverPull   = errors.New("is not present with pull policy of Never")
)

// registryTransport takes no proxy: all that is asked is on this machine.
var registryTransport = &http.Transport{DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
	MaxIdleConnsPerHost: 16, IdleConnTimeout: 30 * time.Second, TLSHandshakeTimeout: 5 * time.Second}

// keychain holds the credentials of a pod's pull secrets. Those of its service account are among them:
// the API server puts them into the pod when it is created.
func (k *kubelets) keychain(ctx context.Context, pod *core.Pod) (authn.Keychain, error) {
	var secrets []core.Secret
	var missing []string
	for _, reference := range pod.Spec.ImagePullSecrets {
		secret, err := k.client.CoreV1().Secrets(pod.Namespace).Get(ctx, reference.Name, metav1.GetOptions{})
		switch {
		case err == nil:
			secrets = append(secrets, *secret)
		case apierrors.IsNotFound(err):
			missing = append(missing, reference.Name)
		default:
			return nil, err
		}
	}
	if len(missing) > 0 {
		k.recorders[pod.Spec.NodeName].Eventf(pod, core.EventTypeWarning, "FailedToRetrieveImagePullSecret",
			"Unable to retrieve some image pull secrets (%s); attempting to pull the image may not succeed.", strings.Join(missing, ", "))
	}
	return kubernetes.NewFromPullSecrets(ctx, secrets)
}

// pull asks the registry of an image for everything that a node of this architecture would take, without taking the layers.
// A registry that is not on this machine cannot be asked: such an image is an error, or trusted where the nodes are told to.
func (k *kubelets) pull(ctx context.Context, image, architecture string, keychain authn.Keychain) (pulled, error) {
	begun := time.Now()
	ctx, cancel := context.WithTimeout(ctx, pullLimit)
	defer cancel()
	reference, err := name.ParseReference(image)
	if err != nil {
		return pulled{}, fmt.Errorf("%w: %w", errInvalidName, err)
	}
	if !isLoopback(reference.Context().RegistryStr()) {
		if k.trust {
			return pulled{id: image, took: time.Since(begun)}, nil
		}
		return pulled{}, fmt.Errorf("registry %s is not reachable from the nodes: no such host", reference.Context().RegistryStr())
	}
	if reference, err = name.ParseReference(image, name.Insecure); err != nil { // plain http
		return pulled{}, fmt.Errorf("%w: %w", errInvalidName, err)
	}
	found, err := remote.Image(reference, remote.WithAuthFromKeychain(keychain), remote.WithContext(ctx), remote.WithTransport(registryTransport),
		remote.WithPlatform(v1.Platform{OS: "linux", Architecture: architecture}), remote.WithRetryBackoff(remote.Backoff{Steps: 1}))
	if err != nil {
		return pulled{}, err
	}
	result, err := complete(found, architecture)
	if err != nil {
		return pulled{}, err
	}
	digest, err := found.Digest()
	result.id, result.took = reference.Context().Digest(digest.String()).String(), time.Since(begun)
	return result, err
}

// complete checks that an image is for the architecture, that its configuration is what its digest says, and that each layer is there.
func complete(image v1.Image, architecture string) (pulled, error) {
	config, err := image.ConfigFile()
	if err != nil {
		return pulled{}, fmt.Errorf("reading the configuration: %w", err)
	}
	if config.Architecture != architecture || config.OS != "" && config.OS != "linux" {
		return pulled{}, fmt.Errorf("no match for platform linux/%s in manifest: the image is for %s/%s", architecture, config.OS, config.Architecture)
	}
	layers, err := image.Layers()
	if err != nil {
		return pulled{}, err
	}
	var size int64
	for _, layer := range layers {
		digest, err := layer.Digest()
		if err != nil {
			return pulled{}, err
		}
		exists, err := partial.Exists(layer)
		if err != nil {
			return pulled{}, fmt.Errorf("layer %s: %w", digest, err)
		}
		if !exists {
			return pulled{}, fmt.Errorf("layer %s: not found", digest)
		}
		bytes, err := layer.Size()
		if err != nil {
			return pulled{}, fmt.Errorf("layer %s: %w", digest, err)
		}
		size += bytes
	}
	return pulled{size: size}, nil
}

// isLoopback says whether a registry's host, with or without a port, is this machine.
func isLoopback(registry string) bool {
	host, _, err := net.SplitHostPort(registry)
	if err != nil {
		host = strings.Trim(registry, "[]")
	}
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}
