package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"syscall"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const (
	// readyTimeout is how long a component may take to become ready. A cold
	// machine under load takes many times the usual second or two.
	readyTimeout = 2 * time.Minute
	// stopGrace is how long a component may take to end by itself.
	stopGrace    = 10 * time.Second
	readyPoll    = 50 * time.Millisecond
	requestLimit = 5 * time.Second
	logLines     = 15
)

// Run adds components to the cluster, starts them together and returns when
// all are ready. They end with the cluster.
func (c *Cluster) Run(ctx context.Context, components ...Component) error {
	for _, p := range components {
		c.state.Components = append(c.state.Components, p)
		// Recorded before it runs, so that whatever happens it can be ended.
		if err := c.saveState(); err != nil {
			return err
		}
		if err := c.table.Start(p.Name, p.Argv); err != nil {
			return err
		}
	}
	for _, p := range components {
		if err := c.awaitReady(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// StopComponent ends one program of a running cluster. One that does not run
// is left alone.
func (c *Cluster) StopComponent(ctx context.Context, name string) error {
	p, err := c.component(name)
	if err != nil {
		return err
	}
	return c.table.Stop(ctx, p.Name, stopGrace)
}

// StartComponent starts a program again that was stopped or has died, as it
// was started first, and returns when it is ready.
func (c *Cluster) StartComponent(ctx context.Context, name string) error {
	p, err := c.component(name)
	if err != nil {
		return err
	}
	if err := c.table.Start(p.Name, p.Argv); err != nil {
		return err
	}
	return c.awaitReady(ctx, p)
}

// SignalComponent sends a signal to a program: SIGSTOP and SIGCONT make it
// hang and go on, SIGKILL makes it crash.
func (c *Cluster) SignalComponent(name string, sig syscall.Signal) error {
	p, err := c.component(name)
	if err != nil {
		return err
	}
	return c.table.Signal(p.Name, sig)
}

// Log returns the path of a program's log.
func (c *Cluster) Log(name string) string { return c.table.Log(name) }

// Running says whether a program of the cluster runs.
func (c *Cluster) Running(name string) bool { return c.table.Running(name) }

// Stop ends the cluster's programs, the last started first, and removes the
// directory when the cluster made it. It may be called again.
func (c *Cluster) Stop(ctx context.Context) error {
	var errs []error
	for _, p := range slices.Backward(c.state.Components) {
		// A stopped process does not act on SIGTERM.
		errs = append(errs, c.table.Signal(p.Name, syscall.SIGCONT), c.table.Stop(ctx, p.Name, stopGrace))
	}
	c.table.Close()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("stop cluster: %w", err)
	}
	if c.removeDir {
		if err := os.RemoveAll(c.Dir); err != nil {
			return fmt.Errorf("remove cluster directory: %w", err)
		}
	}
	return nil
}

// awaitReady waits until a component answers on its health URL. It fails at
// once, with the end of the log, when the program has died.
func (c *Cluster) awaitReady(ctx context.Context, p Component) error {
	client, err := c.healthClient()
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	answer := errors.New("it was not asked yet")
	for {
		if !c.table.Running(p.Name) {
			return fmt.Errorf("%s has ended; the end of %s:\n%s", p.Name, c.Log(p.Name), c.table.Tail(p.Name, logLines))
		}
		if p.Health == "" {
			return nil
		}
		if answer = get(ctx, client, p.Health); answer == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w; %w; the end of %s:\n%s",
				p.Name, answer, ctx.Err(), c.Log(p.Name), c.table.Tail(p.Name, logLines))
		case <-time.After(readyPoll):
		}
	}
}

// healthClient presents the admin's certificate, which etcd and kwok ignore.
func (c *Cluster) healthClient() (*http.Client, error) {
	cert, err := tls.X509KeyPair(c.Config.CertData, c.Config.KeyData)
	if err != nil {
		return nil, fmt.Errorf("load the admin's certificate: %w", err)
	}
	return &http.Client{Timeout: requestLimit, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{cert}, InsecureSkipVerify: true},
	}}, nil
}

func get(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("ask for health: %w", err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("ask for health: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 2000))
	return errors.Join(fmt.Errorf("%s answers %s: %s", url, resp.Status, body), err)
}

// awaitServiceAccounts waits for the default service account: without it no
// pod can be created in the default namespace, and its coming shows that the
// controllers run.
func (c *Cluster) awaitServiceAccounts(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		return fmt.Errorf("create client: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		_, err := client.CoreV1().ServiceAccounts("default").Get(ctx, "default", metav1.GetOptions{})
		if err == nil {
			return nil
		}
		if !apierrors.IsNotFound(err) {
			return fmt.Errorf("look for the default service account: %w", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the default service account: %w", ctx.Err())
		case <-time.After(readyPoll):
		}
	}
}
