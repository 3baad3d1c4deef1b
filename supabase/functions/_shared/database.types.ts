export type Json = string | number | boolean | null | { [key: string]: Json | undefined } | Json[];

export type Database = {
  "public": {
    Tables: {
      "mes_operations": {
        Row: {
          "activity_code": string | null;
          "activity_description": string | null;
          "activity_description_folded": string | null;
          "actual_end_at": string | null;
          "actual_start_at": string | null;
          "asset_id": number;
          "change_type": Database["public"]["Enums"]["change_type"] | null;
          "counted_since": string | null;
          "created_at": string;
          "created_by": string | null;
          "hold_kind": Database["public"]["Enums"]["hold_kind"] | null;
          "hold_reason_code": string | null;
          "id": number;
          "last_op_seq": number;
          "logged_processing_min": number;
          "logged_setup_min": number;
          "operation_no": string;
          "order_no": string;
          "overrun_tolerance_pct": number;
          "planned_end_at": string | null;
          "planned_start_at": string | null;
          "qty_desired": number | null;
          "qty_good": number;
          "qty_parked": number;
          "qty_processed": number;
          "qty_scrap": number;
          "reference_url": string | null;
          "run_count": number;
          "running_phase": Database["public"]["Enums"]["phase"] | null;
          "running_since": string | null;
          "source_conflict": boolean;
          "state": Database["public"]["Enums"]["state"];
          "status": Database["public"]["Enums"]["status"];
          "t_actual_lead_min": number | null;
          "t_actual_processing_min": number | null;
          "t_actual_setup_min": number | null;
          "t_target_lead_min": number | null;
          "t_target_processing_min": number | null;
          "t_target_setup_min": number | null;
          "timestamp_ms": string | null;
          "unlogged_processing_min": number;
          "unlogged_setup_min": number;
          "updated_at": string;
          "updated_hour": string;
          "version": number;
          "worked_until": string | null;
          "workplace_group": string | null;
          "workplace_name": string | null;
        };
        ComputedFields: never;
        Insert: {
          "activity_code"?: string | null;
          "activity_description"?: string | null;
          "activity_description_folded"?: never;
          "actual_end_at"?: string | null;
          "actual_start_at"?: string | null;
          "asset_id": number;
          "change_type"?: Database["public"]["Enums"]["change_type"] | null;
          "counted_since"?: string | null;
          "created_at"?: string;
          "created_by"?: string | null;
          "hold_kind"?: never;
          "hold_reason_code"?: string | null;
          "id"?: never;
          "last_op_seq"?: number;
          "logged_processing_min"?: number;
          "logged_setup_min"?: number;
          "operation_no": string;
          "order_no": string;
          "overrun_tolerance_pct"?: number;
          "planned_end_at"?: string | null;
          "planned_start_at"?: string | null;
          "qty_desired"?: number | null;
          "qty_good"?: never;
          "qty_parked"?: number;
          "qty_processed"?: number;
          "qty_scrap"?: number;
          "reference_url"?: string | null;
          "run_count"?: number;
          "running_phase"?: Database["public"]["Enums"]["phase"] | null;
          "running_since"?: string | null;
          "source_conflict"?: boolean;
          "state"?: Database["public"]["Enums"]["state"];
          "status"?: never;
          "t_actual_lead_min"?: number | null;
          "t_actual_processing_min"?: number | null;
          "t_actual_setup_min"?: number | null;
          "t_target_lead_min"?: number | null;
          "t_target_processing_min"?: number | null;
          "t_target_setup_min"?: number | null;
          "timestamp_ms"?: string | null;
          "unlogged_processing_min"?: number;
          "unlogged_setup_min"?: number;
          "updated_at"?: string;
          "updated_hour"?: never;
          "version"?: number;
          "worked_until"?: string | null;
          "workplace_group"?: string | null;
          "workplace_name"?: string | null;
        };
        Update: {
          "activity_code"?: string | null;
          "activity_description"?: string | null;
          "activity_description_folded"?: never;
          "actual_end_at"?: string | null;
          "actual_start_at"?: string | null;
          "asset_id"?: number;
          "change_type"?: Database["public"]["Enums"]["change_type"] | null;
          "counted_since"?: string | null;
          "created_at"?: string;
          "created_by"?: string | null;
          "hold_kind"?: never;
          "hold_reason_code"?: string | null;
          "id"?: never;
          "last_op_seq"?: number;
          "logged_processing_min"?: number;
          "logged_setup_min"?: number;
          "operation_no"?: string;
          "order_no"?: string;
          "overrun_tolerance_pct"?: number;
          "planned_end_at"?: string | null;
          "planned_start_at"?: string | null;
          "qty_desired"?: number | null;
          "qty_good"?: never;
          "qty_parked"?: number;
          "qty_processed"?: number;
          "qty_scrap"?: number;
          "reference_url"?: string | null;
          "run_count"?: number;
          "running_phase"?: Database["public"]["Enums"]["phase"] | null;
          "running_since"?: string | null;
          "source_conflict"?: boolean;
          "state"?: Database["public"]["Enums"]["state"];
          "status"?: never;
          "t_actual_lead_min"?: number | null;
          "t_actual_processing_min"?: number | null;
          "t_actual_setup_min"?: number | null;
          "t_target_lead_min"?: number | null;
          "t_target_processing_min"?: number | null;
          "t_target_setup_min"?: number | null;
          "timestamp_ms"?: string | null;
          "unlogged_processing_min"?: number;
          "unlogged_setup_min"?: number;
          "updated_at"?: string;
          "updated_hour"?: never;
          "version"?: number;
          "worked_until"?: string | null;
          "workplace_group"?: string | null;
          "workplace_name"?: string | null;
        };
        Relationships: [
          {
            foreignKeyName: "mes_operations_workplace_name_fkey";
            columns: ["workplace_name"];
            isOneToOne: false;
            referencedRelation: "workplaces";
            referencedColumns: ["name"];
          },
        ];
      };
      "operation_events": {
        Row: {
          "action_type": Database["public"]["Enums"]["action"];
          "asset_id": number;
          "changes": Json | null;
          "created_at": string;
          "id": string;
          "note": string | null;
          "occurred_at": string;
          "op_seq": number;
          "operation_data": Json | null;
          "operation_id": number;
          "operation_no": string;
          "order_no": string;
          "phase": Database["public"]["Enums"]["phase"] | null;
          "qty_good": number;
          "qty_parked": number;
          "qty_scrap": number;
          "reason_code": string | null;
          "reason_kind": Database["public"]["Enums"]["reason_kind"] | null;
          "report_digest": string | null;
          "reporter_id": number | null;
          "reverses_event_id": string | null;
          "status_after": Database["public"]["Enums"]["status"];
          "status_before": Database["public"]["Enums"]["status"] | null;
          "user_id": string | null;
          "workplace_name": string | null;
        };
        ComputedFields: never;
        Insert: {
          "action_type": Database["public"]["Enums"]["action"];
          "asset_id": number;
          "changes"?: Json | null;
          "created_at"?: string;
          "id"?: string;
          "note"?: string | null;
          "occurred_at": string;
          "op_seq": number;
          "operation_data"?: Json | null;
          "operation_id": number;
          "operation_no": string;
          "order_no": string;
          "phase"?: Database["public"]["Enums"]["phase"] | null;
          "qty_good"?: number;
          "qty_parked"?: number;
          "qty_scrap"?: number;
          "reason_code"?: string | null;
          "reason_kind"?: Database["public"]["Enums"]["reason_kind"] | null;
          "report_digest"?: string | null;
          "reporter_id"?: number | null;
          "reverses_event_id"?: string | null;
          "status_after": Database["public"]["Enums"]["status"];
          "status_before"?: Database["public"]["Enums"]["status"] | null;
          "user_id"?: string | null;
          "workplace_name"?: string | null;
        };
        Update: {
          "action_type"?: Database["public"]["Enums"]["action"];
          "asset_id"?: number;
          "changes"?: Json | null;
          "created_at"?: string;
          "id"?: string;
          "note"?: string | null;
          "occurred_at"?: string;
          "op_seq"?: number;
          "operation_data"?: Json | null;
          "operation_id"?: number;
          "operation_no"?: string;
          "order_no"?: string;
          "phase"?: Database["public"]["Enums"]["phase"] | null;
          "qty_good"?: number;
          "qty_parked"?: number;
          "qty_scrap"?: number;
          "reason_code"?: string | null;
          "reason_kind"?: Database["public"]["Enums"]["reason_kind"] | null;
          "report_digest"?: string | null;
          "reporter_id"?: number | null;
          "reverses_event_id"?: string | null;
          "status_after"?: Database["public"]["Enums"]["status"];
          "status_before"?: Database["public"]["Enums"]["status"] | null;
          "user_id"?: string | null;
          "workplace_name"?: string | null;
        };
        Relationships: [
          {
            foreignKeyName: "operation_events_reason_known";
            columns: ["reason_kind", "reason_code"];
            isOneToOne: false;
            referencedRelation: "reason_codes";
            referencedColumns: ["kind", "code"];
          },
          {
            foreignKeyName: "operation_events_reverses_event_id_fkey";
            columns: ["reverses_event_id"];
            isOneToOne: false;
            referencedRelation: "operation_events";
            referencedColumns: ["id"];
          },
        ];
      };
      "operation_runs": {
        Row: {
          "end_event_id": string | null;
          "ended_at": string | null;
          "operation_id": number;
          "phase": Database["public"]["Enums"]["phase"];
          "reporter_id": number | null;
          "run_no": number;
          "start_event_id": string;
          "started_at": string;
          "user_id": string | null;
        };
        ComputedFields: never;
        Insert: {
          "end_event_id"?: string | null;
          "ended_at"?: string | null;
          "operation_id": number;
          "phase": Database["public"]["Enums"]["phase"];
          "reporter_id"?: number | null;
          "run_no": number;
          "start_event_id": string;
          "started_at": string;
          "user_id"?: string | null;
        };
        Update: {
          "end_event_id"?: string | null;
          "ended_at"?: string | null;
          "operation_id"?: number;
          "phase"?: Database["public"]["Enums"]["phase"];
          "reporter_id"?: number | null;
          "run_no"?: number;
          "start_event_id"?: string;
          "started_at"?: string;
          "user_id"?: string | null;
        };
        Relationships: [
          {
            foreignKeyName: "operation_runs_end_event_id_fkey";
            columns: ["end_event_id"];
            isOneToOne: false;
            referencedRelation: "operation_events";
            referencedColumns: ["id"];
          },
          {
            foreignKeyName: "operation_runs_operation_id_fkey";
            columns: ["operation_id"];
            isOneToOne: false;
            referencedRelation: "mes_operations";
            referencedColumns: ["id"];
          },
          {
            foreignKeyName: "operation_runs_start_event_id_fkey";
            columns: ["start_event_id"];
            isOneToOne: false;
            referencedRelation: "operation_events";
            referencedColumns: ["id"];
          },
        ];
      };
      "profiles": {
        Row: {
          "created_at": string;
          "email": string | null;
          "full_name": string | null;
          "id": string;
          "role": Database["public"]["Enums"]["role"];
          "updated_at": string;
          "version": number;
          "workplace_access": (string)[];
        };
        ComputedFields: never;
        Insert: {
          "created_at"?: string;
          "email"?: string | null;
          "full_name"?: string | null;
          "id": string;
          "role"?: Database["public"]["Enums"]["role"];
          "updated_at"?: string;
          "version"?: number;
          "workplace_access"?: (string)[];
        };
        Update: {
          "created_at"?: string;
          "email"?: string | null;
          "full_name"?: string | null;
          "id"?: string;
          "role"?: Database["public"]["Enums"]["role"];
          "updated_at"?: string;
          "version"?: number;
          "workplace_access"?: (string)[];
        };
        Relationships: [];
      };
      "reason_codes": {
        Row: {
          "active": boolean;
          "code": string;
          "created_at": string;
          "description": string | null;
          "kind": Database["public"]["Enums"]["reason_kind"];
          "updated_at": string;
          "version": number;
        };
        ComputedFields: never;
        Insert: {
          "active"?: boolean;
          "code": string;
          "created_at"?: string;
          "description"?: string | null;
          "kind": Database["public"]["Enums"]["reason_kind"];
          "updated_at"?: string;
          "version"?: number;
        };
        Update: {
          "active"?: boolean;
          "code"?: string;
          "created_at"?: string;
          "description"?: string | null;
          "kind"?: Database["public"]["Enums"]["reason_kind"];
          "updated_at"?: string;
          "version"?: number;
        };
        Relationships: [];
      };
      "workplaces": {
        Row: {
          "active": boolean;
          "capacity": number | null;
          "created_at": string;
          "name": string;
          "updated_at": string;
          "version": number;
          "workplace_group": string | null;
        };
        ComputedFields: never;
        Insert: {
          "active"?: boolean;
          "capacity"?: number | null;
          "created_at"?: string;
          "name": string;
          "updated_at"?: string;
          "version"?: number;
          "workplace_group"?: string | null;
        };
        Update: {
          "active"?: boolean;
          "capacity"?: number | null;
          "created_at"?: string;
          "name"?: string;
          "updated_at"?: string;
          "version"?: number;
          "workplace_group"?: string | null;
        };
        Relationships: [];
      };
    };
    Views: {
      [_ in never]: never;
    };
    Functions: {
      "claim_deliveries": {
        Args: { "beyond_share"?: number; "take"?: number; "to_endpoints"?: (string)[] };
        Returns: Json;
      };
      "create_operation": { Args: { "idempotency"?: Json; "operation": Json }; Returns: Json };
      "create_profile": { Args: { "idempotency"?: Json; "profile": Json }; Returns: Json };
      "create_reason_code": { Args: { "idempotency"?: Json; "reason_code": Json }; Returns: Json };
      "create_stream_ticket": { Args: { "digest": string; "filter": Json }; Returns: Json };
      "create_webhook_endpoint": { Args: { "endpoint": Json; "idempotency"?: Json }; Returns: Json };
      "create_workplace": { Args: { "idempotency"?: Json; "workplace": Json }; Returns: Json };
      "delete_operation": {
        Args: { "asset_id": number; "if_match"?: (number)[]; "operation_no": string; "order_no": string };
        Returns: undefined;
      };
      "delete_profile": { Args: { "id": string; "if_match"?: (number)[] }; Returns: undefined };
      "delete_reason_code": { Args: { "code": string; "if_match"?: (number)[]; "kind": string }; Returns: undefined };
      "delete_webhook_endpoint": { Args: { "endpoint_id": string; "if_match"?: (number)[] }; Returns: undefined };
      "delete_workplace": { Args: { "if_match"?: (number)[]; "name": string }; Returns: undefined };
      "feed_head": { Args: Record<PropertyKey, never>; Returns: Json };
      "forget_profile": { Args: { "id": string }; Returns: Json };
      "get_event": { Args: { "id": string }; Returns: Json };
      "get_operation": { Args: { "asset_id": number; "operation_no": string; "order_no": string }; Returns: Json };
      "get_own_profile": { Args: Record<PropertyKey, never>; Returns: Json };
      "get_profile": { Args: { "id": string }; Returns: Json };
      "get_reason_code": { Args: { "code": string; "kind": string }; Returns: Json };
      "get_webhook_delivery": { Args: { "delivery_id": string }; Returns: Json };
      "get_webhook_endpoint": { Args: { "endpoint_id": string }; Returns: Json };
      "get_workplace": { Args: { "name": string }; Returns: Json };
      "health": { Args: { "probe_writes"?: boolean }; Returns: Json };
      "hold_stream_places": {
        Args: { "given_up": (string)[]; "holders": (string)[]; "places": (string)[] };
        Returns: Json;
      };
      "import_operations": {
        Args: {
          "idempotency"?: Json;
          "is_dry_run"?: boolean;
          "is_takeover"?: boolean;
          "rejects_unknown_workplaces"?: boolean;
          "rows": Json;
        };
        Returns: Json;
      };
      "list_events": {
        Args: {
          "action_types"?: (string)[];
          "asset_id"?: number;
          "before_created_at"?: string;
          "before_id"?: string;
          "count"?: string;
          "occurred_after"?: string;
          "occurred_before"?: string;
          "operation_no"?: string;
          "order_no"?: string;
          "skip"?: number;
          "take"?: number;
          "user_id"?: string;
          "workplace_name"?: string;
        };
        Returns: Json;
      };
      "list_operations": {
        Args: {
          "activity_code"?: string;
          "after_asset_id"?: number;
          "after_operation_no"?: string;
          "after_order_no"?: string;
          "after_value"?: string;
          "count"?: string;
          "has_parked"?: boolean;
          "has_remaining_qty"?: boolean;
          "is_overdue"?: boolean;
          "open_longer_than_h"?: number;
          "order_no"?: string;
          "planned_start_after"?: string;
          "planned_start_before"?: string;
          "q"?: string;
          "skip"?: number;
          "sort"?: string;
          "statuses"?: (string)[];
          "take"?: number;
          "workplace_group"?: string;
          "workplace_names"?: (string)[];
        };
        Returns: Json;
      };
      "list_profiles": {
        Args: {
          "after_email"?: string;
          "after_id"?: string;
          "count"?: string;
          "q"?: string;
          "skip"?: number;
          "take"?: number;
        };
        Returns: Json;
      };
      "list_queue": { Args: { "name": string; "take"?: number }; Returns: Json };
      "list_reason_codes": {
        Args: {
          "active"?: boolean;
          "after_code"?: string;
          "after_kind"?: string;
          "count"?: string;
          "kind"?: string;
          "q"?: string;
          "skip"?: number;
          "take"?: number;
        };
        Returns: Json;
      };
      "list_runs": { Args: { "asset_id": number; "operation_no": string; "order_no": string }; Returns: Json };
      "list_webhook_deliveries": {
        Args: {
          "before_created_at"?: string;
          "before_id"?: string;
          "count"?: string;
          "endpoint_id"?: string;
          "event_id"?: string;
          "skip"?: number;
          "status"?: string;
          "take"?: number;
        };
        Returns: Json;
      };
      "list_webhook_endpoints": {
        Args: {
          "after_created_at"?: string;
          "after_id"?: string;
          "count"?: string;
          "enabled"?: boolean;
          "skip"?: number;
          "take"?: number;
        };
        Returns: Json;
      };
      "list_workplaces": {
        Args: {
          "active"?: boolean;
          "after_name"?: string;
          "count"?: string;
          "q"?: string;
          "skip"?: number;
          "take"?: number;
          "workplace_group"?: string;
        };
        Returns: Json;
      };
      "prune_feed": { Args: Record<PropertyKey, never>; Returns: number };
      "read_feed": {
        Args: {
          "action_types"?: (string)[];
          "after_pos"?: number;
          "generation"?: string;
          "mark"?: string;
          "order_no"?: string;
          "take"?: number;
          "with_operations"?: boolean;
          "workplace_names"?: (string)[];
        };
        Returns: Json;
      };
      "replay_webhook_delivery": { Args: { "delivery_id": string; "idempotency"?: Json }; Returns: Json };
      "replay_webhook_events": {
        Args: {
          "after_mark"?: string;
          "after_pos"?: number;
          "endpoint_id": string;
          "generation"?: string;
          "idempotency"?: Json;
          "since"?: string;
          "take"?: number;
          "until_mark"?: string;
          "until_pos"?: number;
        };
        Returns: Json;
      };
      "report_event": { Args: { "idempotency"?: Json; "report": Json }; Returns: Json };
      "report_events": { Args: { "idempotency"?: Json; "is_atomic"?: boolean; "reports": Json }; Returns: Json };
      "require_second_factor": { Args: { "is_required": boolean }; Returns: Json };
      "rotate_webhook_secret": {
        Args: { "endpoint_id": string; "idempotency"?: Json; "overlap_h"?: number };
        Returns: Json;
      };
      "settle_delivery": {
        Args: {
          "delivery_id": string;
          "duration_ms": number;
          "error_message"?: string;
          "lease_token": string;
          "response"?: string;
          "retry_after_s"?: number;
          "status"?: number;
          "url": string;
        };
        Returns: Json;
      };
      "take_stream_place": {
        Args: { "given_up": (string)[]; "holder": string; "most": number; "place": string };
        Returns: Json;
      };
      "test_webhook_endpoint": { Args: { "endpoint_id": string; "idempotency"?: Json }; Returns: Json };
      "transition_operation": {
        Args: {
          "asset_id": number;
          "idempotency"?: Json;
          "operation_no": string;
          "order_no": string;
          "transition": Json;
        };
        Returns: Json;
      };
      "update_operation": {
        Args: {
          "asset_id": number;
          "idempotency"?: Json;
          "if_match"?: (number)[];
          "operation_no": string;
          "order_no": string;
          "patch": Json;
        };
        Returns: Json;
      };
      "update_operations": {
        Args: { "filter": Json; "idempotency"?: Json; "is_dry_run"?: boolean; "patch": Json };
        Returns: Json;
      };
      "update_profile": {
        Args: { "id": string; "idempotency"?: Json; "if_match"?: (number)[]; "patch": Json };
        Returns: Json;
      };
      "update_reason_code": {
        Args: { "code": string; "idempotency"?: Json; "if_match"?: (number)[]; "kind": string; "patch": Json };
        Returns: Json;
      };
      "update_webhook_endpoint": {
        Args: { "endpoint_id": string; "idempotency"?: Json; "if_match"?: (number)[]; "patch": Json };
        Returns: Json;
      };
      "update_workplace": {
        Args: { "idempotency"?: Json; "if_match"?: (number)[]; "name": string; "patch": Json };
        Returns: Json;
      };
      "use_stream_ticket": { Args: { "digest": string }; Returns: Json };
    };
    Enums: {
      "action":
        | "START"
        | "STOP"
        | "REPORT_QUANTITY"
        | "COMPLETE"
        | "FINISH"
        | "RELEASE"
        | "HOLD"
        | "CANCEL"
        | "REVERSE"
        | "CORRECT";
      "change_type": "INSERT" | "UPDATE" | "DELETE";
      "hold_kind": "PAUSED" | "BLOCKED";
      "phase": "SETUP" | "PROCESSING";
      "reason_kind": "STOP" | "SCRAP" | "HOLD" | "CANCEL" | "SHORTFALL";
      "role": "readonly" | "machine" | "operator" | "supervisor" | "manager" | "admin";
      "state":
        | "PLANNED"
        | "RELEASED"
        | "IN_PROGRESS"
        | "PAUSED"
        | "BLOCKED_BEFORE_START"
        | "BLOCKED"
        | "FINISHED"
        | "CANCELLED";
      "status": "PLANNED" | "RELEASED" | "IN_PROGRESS" | "ON_HOLD" | "FINISHED" | "CANCELLED";
    };
    CompositeTypes: {
      [_ in never]: never;
    };
  };
};

type DatabaseWithoutInternals = Omit<Database, "__InternalSupabase">;

type DefaultSchema = DatabaseWithoutInternals[Extract<keyof Database, "public">];

export type Tables<
  DefaultSchemaTableNameOrOptions extends
    | keyof (DefaultSchema["Tables"] & DefaultSchema["Views"])
    | { schema: keyof DatabaseWithoutInternals },
  TableName extends DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals;
  } ? keyof (
      & DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"]
      & DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Views"]
    )
    : never = never,
> = DefaultSchemaTableNameOrOptions extends { schema: keyof DatabaseWithoutInternals } ? (
    & DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"]
    & DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Views"]
  )[TableName] extends {
    Row: infer R;
  } ? R
  : never
  : DefaultSchemaTableNameOrOptions extends keyof (DefaultSchema["Tables"] & DefaultSchema["Views"])
    ? (DefaultSchema["Tables"] & DefaultSchema["Views"])[DefaultSchemaTableNameOrOptions] extends {
      Row: infer R;
    } ? R
    : never
  : never;

export type TablesInsert<
  DefaultSchemaTableNameOrOptions extends
    | keyof DefaultSchema["Tables"]
    | { schema: keyof DatabaseWithoutInternals },
  TableName extends DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals;
  } ? keyof DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"]
    : never = never,
> = DefaultSchemaTableNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"][TableName] extends {
    Insert: infer I;
  } ? I
  : never
  : DefaultSchemaTableNameOrOptions extends keyof DefaultSchema["Tables"]
    ? DefaultSchema["Tables"][DefaultSchemaTableNameOrOptions] extends {
      Insert: infer I;
    } ? I
    : never
  : never;

export type TablesUpdate<
  DefaultSchemaTableNameOrOptions extends
    | keyof DefaultSchema["Tables"]
    | { schema: keyof DatabaseWithoutInternals },
  TableName extends DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals;
  } ? keyof DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"]
    : never = never,
> = DefaultSchemaTableNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"][TableName] extends {
    Update: infer U;
  } ? U
  : never
  : DefaultSchemaTableNameOrOptions extends keyof DefaultSchema["Tables"]
    ? DefaultSchema["Tables"][DefaultSchemaTableNameOrOptions] extends {
      Update: infer U;
    } ? U
    : never
  : never;

export type Enums<
  DefaultSchemaEnumNameOrOptions extends
    | keyof DefaultSchema["Enums"]
    | { schema: keyof DatabaseWithoutInternals },
  EnumName extends DefaultSchemaEnumNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals;
  } ? keyof DatabaseWithoutInternals[DefaultSchemaEnumNameOrOptions["schema"]]["Enums"]
    : never = never,
> = DefaultSchemaEnumNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaEnumNameOrOptions["schema"]]["Enums"][EnumName]
  : DefaultSchemaEnumNameOrOptions extends keyof DefaultSchema["Enums"]
    ? DefaultSchema["Enums"][DefaultSchemaEnumNameOrOptions]
  : never;

export type CompositeTypes<
  PublicCompositeTypeNameOrOptions extends
    | keyof DefaultSchema["CompositeTypes"]
    | { schema: keyof DatabaseWithoutInternals },
  CompositeTypeName extends PublicCompositeTypeNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals;
  } ? keyof DatabaseWithoutInternals[PublicCompositeTypeNameOrOptions["schema"]]["CompositeTypes"]
    : never = never,
> = PublicCompositeTypeNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[PublicCompositeTypeNameOrOptions["schema"]]["CompositeTypes"][CompositeTypeName]
  : PublicCompositeTypeNameOrOptions extends keyof DefaultSchema["CompositeTypes"]
    ? DefaultSchema["CompositeTypes"][PublicCompositeTypeNameOrOptions]
  : never;

export const Constants = {
  "public": {
    Enums: {
      "action": [
        "START",
        "STOP",
        "REPORT_QUANTITY",
        "COMPLETE",
        "FINISH",
        "RELEASE",
        "HOLD",
        "CANCEL",
        "REVERSE",
        "CORRECT",
      ],
      "change_type": ["INSERT", "UPDATE", "DELETE"],
      "hold_kind": ["PAUSED", "BLOCKED"],
      "phase": ["SETUP", "PROCESSING"],
      "reason_kind": ["STOP", "SCRAP", "HOLD", "CANCEL", "SHORTFALL"],
      "role": ["readonly", "machine", "operator", "supervisor", "manager", "admin"],
      "state": [
        "PLANNED",
        "RELEASED",
        "IN_PROGRESS",
        "PAUSED",
        "BLOCKED_BEFORE_START",
        "BLOCKED",
        "FINISHED",
        "CANCELLED",
      ],
      "status": ["PLANNED", "RELEASED", "IN_PROGRESS", "ON_HOLD", "FINISHED", "CANCELLED"],
    },
  },
} as const;
