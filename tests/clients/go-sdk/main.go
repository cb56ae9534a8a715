// Does with AWS's SDK for Go what deployment tools written in Go do: deploys a new revision, rolls back, refreshes, runs a task and waits for each of
// them, with the SDK's own waiters. The service is `api` in the cluster `local`.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

const (
	cluster  = "local"
	service  = "api"
	patience = 2 * time.Minute
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("all done")
}

func run(ctx context.Context) error {
	settings, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	client := ecs.NewFromConfig(settings)
	before, err := describe(ctx, client)
	if err != nil {
		return err
	}

	// Deploy: the present revision with one more variable.
	present, err := client.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{
		TaskDefinition: before.TaskDefinition, Include: []types.TaskDefinitionField{types.TaskDefinitionFieldTags},
	})
	if err != nil {
		return fmt.Errorf("the present revision: %w", err)
	}
	definition := present.TaskDefinition
	containers := definition.ContainerDefinitions
	containers[0].Environment = append(containers[0].Environment, types.KeyValuePair{Name: aws.String("FROM"), Value: aws.String("Go")})
	registered, err := client.RegisterTaskDefinition(ctx, &ecs.RegisterTaskDefinitionInput{
		Family: definition.Family, ContainerDefinitions: containers, ExecutionRoleArn: definition.ExecutionRoleArn,
		TaskRoleArn: definition.TaskRoleArn, NetworkMode: definition.NetworkMode, Cpu: definition.Cpu, Memory: definition.Memory,
		RequiresCompatibilities: definition.RequiresCompatibilities, RuntimePlatform: definition.RuntimePlatform, Volumes: definition.Volumes,
	})
	if err != nil {
		return fmt.Errorf("registering: %w", err)
	}
	next := aws.ToString(registered.TaskDefinition.TaskDefinitionArn)
	if err := update(ctx, client, &next, false); err != nil {
		return fmt.Errorf("deploy: %w", err)
	}
	// Roll back, and refresh.
	if err := update(ctx, client, before.TaskDefinition, false); err != nil {
		return fmt.Errorf("rollback: %w", err)
	}
	if err := update(ctx, client, nil, true); err != nil {
		return fmt.Errorf("refresh: %w", err)
	}
	if err := runTask(ctx, client, cloudwatchlogs.NewFromConfig(settings), before); err != nil {
		return fmt.Errorf("run: %w", err)
	}

	// Errors arrive as the SDK's types.
	_, err = client.UpdateService(ctx, &ecs.UpdateServiceInput{Cluster: aws.String(cluster), Service: aws.String("none")})
	var unknown *types.ServiceNotFoundException
	if !errors.As(err, &unknown) {
		return fmt.Errorf("an unknown service: %v", err)
	}
	_, err = client.DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: aws.String("none"), Services: []string{service}})
	var noCluster *types.ClusterNotFoundException
	if !errors.As(err, &noCluster) {
		return fmt.Errorf("an unknown cluster: %v", err)
	}
	return nil
}

func describe(ctx context.Context, client *ecs.Client) (*types.Service, error) {
	described, err := client.DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: aws.String(cluster), Services: []string{service}})
	if err != nil {
		return nil, err
	}
	if len(described.Services) != 1 || len(described.Failures) != 0 {
		return nil, fmt.Errorf("%d services, failures %v", len(described.Services), described.Failures)
	}
	return &described.Services[0], nil
}

// update changes the service and waits until its deployment has ended well.
func update(ctx context.Context, client *ecs.Client, revision *string, force bool) error {
	updated, err := client.UpdateService(ctx, &ecs.UpdateServiceInput{
		Cluster: aws.String(cluster), Service: aws.String(service), TaskDefinition: revision, ForceNewDeployment: force,
	})
	if err != nil {
		return err
	}
	began := updated.Service.Deployments[0]
	if err := ecs.NewServicesStableWaiter(client, quick).Wait(ctx, &ecs.DescribeServicesInput{
		Cluster: aws.String(cluster), Services: []string{service},
	}, patience); err != nil {
		return err
	}
	listed, err := client.ListServiceDeployments(ctx, &ecs.ListServiceDeploymentsInput{
		Cluster: aws.String(cluster), Service: aws.String(service), CreatedAt: &types.CreatedAt{After: aws.Time(began.CreatedAt.Add(-time.Second))},
	})
	if err != nil {
		return err
	}
	if len(listed.ServiceDeployments) == 0 {
		return errors.New("no service deployment is listed")
	}
	deadline := time.Now().Add(patience)
	for {
		shown, err := client.DescribeServiceDeployments(ctx, &ecs.DescribeServiceDeploymentsInput{
			ServiceDeploymentArns: []string{aws.ToString(listed.ServiceDeployments[0].ServiceDeploymentArn)},
		})
		if err != nil {
			return err
		}
		switch status := shown.ServiceDeployments[0].Status; {
		case status == types.ServiceDeploymentStatusSuccessful:
			now, err := describe(ctx, client)
			if err != nil {
				return err
			}
			if revision != nil && aws.ToString(now.TaskDefinition) != *revision {
				return fmt.Errorf("the service runs %s and not %s", aws.ToString(now.TaskDefinition), *revision)
			}
			if aws.ToString(now.Deployments[0].Id) != aws.ToString(began.Id) {
				return fmt.Errorf("the deployment is %s and not %s", aws.ToString(now.Deployments[0].Id), aws.ToString(began.Id))
			}
			return nil
		case status != types.ServiceDeploymentStatusPending && status != types.ServiceDeploymentStatusInProgress:
			return fmt.Errorf("the deployment ended as %s", status)
		case time.Now().After(deadline):
			return fmt.Errorf("the deployment is still %s", status)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func runTask(ctx context.Context, client *ecs.Client, logs *cloudwatchlogs.Client, like *types.Service) error {
	ran, err := client.RunTask(ctx, &ecs.RunTaskInput{
		Cluster: aws.String(cluster), TaskDefinition: like.TaskDefinition, LaunchType: types.LaunchTypeFargate, NetworkConfiguration: like.NetworkConfiguration,
		Overrides: &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{{
			Name: aws.String("api"), Environment: []types.KeyValuePair{{Name: aws.String("API_FAULT"), Value: aws.String("exit")}},
		}}},
	})
	if err != nil {
		return err
	}
	if len(ran.Tasks) != 1 {
		return fmt.Errorf("no task: %v", ran.Failures)
	}
	arn := aws.ToString(ran.Tasks[0].TaskArn)
	input := &ecs.DescribeTasksInput{Cluster: aws.String(cluster), Tasks: []string{arn}}
	if err := ecs.NewTasksStoppedWaiter(client, quickTasks).Wait(ctx, input, patience); err != nil {
		return err
	}
	ended, err := client.DescribeTasks(ctx, input)
	if err != nil {
		return err
	}
	if code := ended.Tasks[0].Containers[0].ExitCode; code == nil || *code == 0 {
		return fmt.Errorf("the task was told to fail, and its exit code is %v", aws.ToInt32(code))
	}
	stream := "ecs/api/" + arn[strings.LastIndex(arn, "/")+1:]
	events, err := logs.GetLogEvents(ctx, &cloudwatchlogs.GetLogEventsInput{
		LogGroupName: aws.String("/local/api"), LogStreamName: &stream, StartFromHead: aws.Bool(true),
	})
	if err != nil {
		return err
	}
	if len(events.Events) == 0 {
		return errors.New("the task wrote nothing")
	}
	return nil
}

// The SDK's waiters look every 15 seconds at first; a deployment here takes a few.
func quick(options *ecs.ServicesStableWaiterOptions)    { options.MinDelay = time.Second }
func quickTasks(options *ecs.TasksStoppedWaiterOptions) { options.MinDelay = time.Second }
