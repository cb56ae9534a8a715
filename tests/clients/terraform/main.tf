# What a deployment needs, made by Terraform's AWS provider. A plan after it must find nothing to change: then what the AWS
# on this machine describes is what was asked for, in the form that the provider expects.

terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

provider "aws" {
  default_tags {
    tags = { team = "api" }
  }
}

variable "image" {
  description = "Repository and digest of an image that listens on port 8080."
  type        = string
}

data "aws_caller_identity" "current" {}

data "aws_lb_target_group" "api" {
  name = "api"
}

data "aws_lb" "api" {
  name = "api"
}

resource "aws_ecs_cluster" "this" {
  name = "terraform"

  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

resource "aws_ecs_cluster_capacity_providers" "this" {
  cluster_name       = aws_ecs_cluster.this.name
  capacity_providers = ["FARGATE", "FARGATE_SPOT"]

  default_capacity_provider_strategy {
    capacity_provider = "FARGATE"
    base              = 1
    weight            = 1
  }
}

resource "aws_ecr_repository" "this" {
  name                 = "longshore/terraform"
  image_tag_mutability = "IMMUTABLE"

  encryption_configuration {
    encryption_type = "KMS"
  }

  image_scanning_configuration {
    scan_on_push = true
  }
}

resource "aws_ecr_lifecycle_policy" "this" {
  repository = aws_ecr_repository.this.name
  policy = jsonencode({
    rules = [{
      rulePriority = 1
      selection    = { tagStatus = "untagged", countType = "imageCountMoreThan", countNumber = 5 }
      action       = { type = "expire" }
    }]
  })
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/terraform"
  retention_in_days = 14
}

resource "aws_ssm_parameter" "this" {
  name        = "/terraform/level"
  description = "How much is logged."
  type        = "SecureString"
  value       = "debug"
}

resource "aws_secretsmanager_secret" "this" {
  name                    = "terraform/key"
  description             = "Nobody's key."
  recovery_window_in_days = 0
}

resource "aws_secretsmanager_secret_version" "this" {
  secret_id     = aws_secretsmanager_secret.this.id
  secret_string = "sesame"
}

resource "aws_iam_role" "execution" {
  name = "terraform-execution"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy_attachment" "execution" {
  role       = aws_iam_role.execution.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
}

resource "aws_iam_role_policy" "secrets" {
  name = "secrets"
  role = aws_iam_role.execution.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["ssm:GetParameters", "secretsmanager:GetSecretValue"]
      Resource = [aws_ssm_parameter.this.arn, aws_secretsmanager_secret.this.arn]
    }]
  })
}

resource "aws_cloudwatch_metric_alarm" "errors" {
  alarm_name          = "terraform-errors"
  comparison_operator = "GreaterThanThreshold"
  evaluation_periods  = 2
  metric_name         = "errors"
  namespace           = "api"
  period              = 60
  statistic           = "Sum"
  threshold           = 5
  treat_missing_data  = "notBreaching"
}

resource "aws_ecs_task_definition" "this" {
  family                   = "terraform"
  network_mode             = "awsvpc"
  requires_compatibilities = ["FARGATE"]
  cpu                      = 256
  memory                   = 512
  execution_role_arn       = aws_iam_role.execution.arn

  container_definitions = jsonencode([{
    name         = "api"
    image        = var.image
    essential    = true
    portMappings = [{ containerPort = 8080, hostPort = 8080, protocol = "tcp" }]
    environment  = [{ name = "PORT", value = "8080" }]
    secrets = [
      { name = "LOG_LEVEL", valueFrom = aws_ssm_parameter.this.arn },
      { name = "KEY", valueFrom = aws_secretsmanager_secret.this.arn },
    ]
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.this.name
        awslogs-region        = "us-east-1"
        awslogs-stream-prefix = "api"
      }
    }
  }])
}

resource "aws_ecs_service" "this" {
  name                    = "terraform"
  cluster                 = aws_ecs_cluster.this.id
  task_definition         = aws_ecs_task_definition.this.arn
  desired_count           = 1
  enable_ecs_managed_tags = true
  propagate_tags          = "SERVICE"
  wait_for_steady_state   = true

  capacity_provider_strategy {
    capacity_provider = "FARGATE"
    weight            = 1
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  alarms {
    alarm_names = [aws_cloudwatch_metric_alarm.errors.alarm_name]
    enable      = true
    rollback    = true
  }

  network_configuration {
    subnets         = ["subnet-local"]
    security_groups = ["sg-local"]
  }

  depends_on = [
    aws_ecs_cluster_capacity_providers.this,
    aws_iam_role_policy.secrets,
    aws_iam_role_policy_attachment.execution,
    aws_secretsmanager_secret_version.this,
  ]
}

output "account" {
  value = data.aws_caller_identity.current.account_id
}

output "balanced" {
  value = [data.aws_lb_target_group.api.arn, data.aws_lb.api.arn]
}
