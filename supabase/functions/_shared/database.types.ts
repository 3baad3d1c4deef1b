export type Json = string | number | boolean | null | { [key: string]: Json | undefined } | Json[];

export type Database = {
  "public": {
    Tables: {
      "calendar_exceptions": {
        Row: {
          "calendar_name": string;
          "created_at": string;
          "end_time": string | null;
          "kind": Database["public"]["Enums"]["exception_kind"];
          "note": string | null;
          "on_date": string;
          "shift_code": string | null;
          "start_time": string | null;
        };
        ComputedFields: never;
        Insert: {
          "calendar_name": string;
          "created_at"?: string;
          "end_time"?: string | null;
          "kind": Database["public"]["Enums"]["exception_kind"];
          "note"?: string | null;
          "on_date": string;
          "shift_code"?: string | null;
          "start_time"?: string | null;
        };
        Update: {
          "calendar_name"?: string;
          "created_at"?: string;
          "end_time"?: string | null;
          "kind"?: Database["public"]["Enums"]["exception_kind"];
          "note"?: string | null;
          "on_date"?: string;
          "shift_code"?: string | null;
          "start_time"?: string | null;
        };
        Relationships: [
          {
            foreignKeyName: "calendar_exceptions_calendar_name_fkey";
            columns: ["calendar_name"];
            isOneToOne: false;
            referencedRelation: "calendars";
            referencedColumns: ["name"];
          },
        ];
      };
      "calendar_shifts": {
        Row: {
          "breaks": NonNullable<Json>;
          "calendar_name": string;
          "created_at": string;
          "end_time": string;
          "id": number;
          "shift_code": string;
          "start_time": string;
          "valid_from": string;
          "valid_to": string | null;
          "weekdays": (number)[];
        };
        ComputedFields: never;
        Insert: {
          "breaks"?: NonNullable<Json>;
          "calendar_name": string;
          "created_at"?: string;
          "end_time": string;
          "id"?: never;
          "shift_code": string;
          "start_time": string;
          "valid_from": string;
          "valid_to"?: string | null;
          "weekdays": (number)[];
        };
        Update: {
          "breaks"?: NonNullable<Json>;
          "calendar_name"?: string;
          "created_at"?: string;
          "end_time"?: string;
          "id"?: never;
          "shift_code"?: string;
          "start_time"?: string;
          "valid_from"?: string;
          "valid_to"?: string | null;
          "weekdays"?: (number)[];
        };
        Relationships: [
          {
            foreignKeyName: "calendar_shifts_calendar_name_fkey";
            columns: ["calendar_name"];
            isOneToOne: false;
            referencedRelation: "calendars";
            referencedColumns: ["name"];
          },
        ];
      };
      "calendars": {
        Row: {
          "created_at": string;
          "name": string;
          "time_zone": string;
          "updated_at": string;
          "version": number;
        };
        ComputedFields: never;
        Insert: {
          "created_at"?: string;
          "name": string;
          "time_zone": string;
          "updated_at"?: string;
          "version"?: number;
        };
        Update: {
          "created_at"?: string;
          "name"?: string;
          "time_zone"?: string;
          "updated_at"?: string;
          "version"?: number;
        };
        Relationships: [];
      };
      "downtime_events": {
        Row: {
          "action_type": Database["public"]["Enums"]["downtime_action"];
          "category": Database["public"]["Enums"]["downtime_category"];
          "created_at": string;
          "downtime_id": string;
          "id": string;
          "note": string | null;
          "occurred_at": string;
          "operation_data": Json | null;
          "person_id": string | null;
          "reason_code": string | null;
          "reason_kind": Database["public"]["Enums"]["reason_kind"];
          "report_digest": string | null;
          "reporter_id": number | null;
          "seq": number;
          "source": Database["public"]["Enums"]["downtime_source"];
          "split_from": string | null;
          "state_event_id": string | null;
          "user_id": string | null;
          "workplace_name": string;
        };
        ComputedFields: never;
        Insert: {
          "action_type": Database["public"]["Enums"]["downtime_action"];
          "category": Database["public"]["Enums"]["downtime_category"];
          "created_at"?: string;
          "downtime_id": string;
          "id": string;
          "note"?: string | null;
          "occurred_at": string;
          "operation_data"?: Json | null;
          "person_id"?: string | null;
          "reason_code"?: string | null;
          "reason_kind"?: never;
          "report_digest"?: string | null;
          "reporter_id"?: number | null;
          "seq": number;
          "source": Database["public"]["Enums"]["downtime_source"];
          "split_from"?: string | null;
          "state_event_id"?: string | null;
          "user_id"?: string | null;
          "workplace_name": string;
        };
        Update: {
          "action_type"?: Database["public"]["Enums"]["downtime_action"];
          "category"?: Database["public"]["Enums"]["downtime_category"];
          "created_at"?: string;
          "downtime_id"?: string;
          "id"?: string;
          "note"?: string | null;
          "occurred_at"?: string;
          "operation_data"?: Json | null;
          "person_id"?: string | null;
          "reason_code"?: string | null;
          "reason_kind"?: never;
          "report_digest"?: string | null;
          "reporter_id"?: number | null;
          "seq"?: number;
          "source"?: Database["public"]["Enums"]["downtime_source"];
          "split_from"?: string | null;
          "state_event_id"?: string | null;
          "user_id"?: string | null;
          "workplace_name"?: string;
        };
        Relationships: [
          {
            foreignKeyName: "downtime_events_downtime_id_fkey";
            columns: ["downtime_id"];
            isOneToOne: false;
            referencedRelation: "downtimes";
            referencedColumns: ["id"];
          },
          {
            foreignKeyName: "downtime_events_reason_known";
            columns: ["reason_kind", "reason_code"];
            isOneToOne: false;
            referencedRelation: "reason_codes";
            referencedColumns: ["kind", "code"];
          },
        ];
      };
      "downtimes": {
        Row: {
          "cancelled_at": string | null;
          "category": Database["public"]["Enums"]["downtime_category"];
          "created_at": string;
          "ended_at": string | null;
          "id": string;
          "note": string | null;
          "person_id": string | null;
          "reason_code": string | null;
          "reason_kind": Database["public"]["Enums"]["reason_kind"];
          "reporter_id": number | null;
          "source": Database["public"]["Enums"]["downtime_source"];
          "split_from": string | null;
          "started_at": string;
          "state_event_id": string | null;
          "updated_at": string;
          "user_id": string | null;
          "version": number;
          "workplace_name": string;
        };
        ComputedFields: never;
        Insert: {
          "cancelled_at"?: string | null;
          "category": Database["public"]["Enums"]["downtime_category"];
          "created_at"?: string;
          "ended_at"?: string | null;
          "id": string;
          "note"?: string | null;
          "person_id"?: string | null;
          "reason_code"?: string | null;
          "reason_kind"?: never;
          "reporter_id"?: number | null;
          "source": Database["public"]["Enums"]["downtime_source"];
          "split_from"?: string | null;
          "started_at": string;
          "state_event_id"?: string | null;
          "updated_at"?: string;
          "user_id"?: string | null;
          "version"?: number;
          "workplace_name": string;
        };
        Update: {
          "cancelled_at"?: string | null;
          "category"?: Database["public"]["Enums"]["downtime_category"];
          "created_at"?: string;
          "ended_at"?: string | null;
          "id"?: string;
          "note"?: string | null;
          "person_id"?: string | null;
          "reason_code"?: string | null;
          "reason_kind"?: never;
          "reporter_id"?: number | null;
          "source"?: Database["public"]["Enums"]["downtime_source"];
          "split_from"?: string | null;
          "started_at"?: string;
          "state_event_id"?: string | null;
          "updated_at"?: string;
          "user_id"?: string | null;
          "version"?: number;
          "workplace_name"?: string;
        };
        Relationships: [
          {
            foreignKeyName: "downtimes_reason_known";
            columns: ["reason_kind", "reason_code"];
            isOneToOne: false;
            referencedRelation: "reason_codes";
            referencedColumns: ["kind", "code"];
          },
          {
            foreignKeyName: "downtimes_split_from_fkey";
            columns: ["split_from"];
            isOneToOne: false;
            referencedRelation: "downtimes";
            referencedColumns: ["id"];
          },
          {
            foreignKeyName: "downtimes_state_event_id_fkey";
            columns: ["state_event_id"];
            isOneToOne: false;
            referencedRelation: "workplace_state_events";
            referencedColumns: ["id"];
          },
          {
            foreignKeyName: "downtimes_workplace_name_fkey";
            columns: ["workplace_name"];
            isOneToOne: false;
            referencedRelation: "workplaces";
            referencedColumns: ["name"];
          },
        ];
      };
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
          "t_target_per_piece_min": number | null;
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
          "t_target_per_piece_min"?: number | null;
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
          "t_target_per_piece_min"?: number | null;
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
          "person_id": string | null;
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
          "person_id"?: string | null;
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
          "person_id"?: string | null;
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
          "waited_since": string | null;
          "workplace_name": string | null;
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
          "waited_since"?: string | null;
          "workplace_name"?: string | null;
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
          "waited_since"?: string | null;
          "workplace_name"?: string | null;
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
          "kind": Database["public"]["Enums"]["profile_kind"];
          "role": Database["public"]["Enums"]["role"];
          "updated_at": string;
          "user_id": string | null;
          "version": number;
          "workplace_access": (string)[];
        };
        ComputedFields: never;
        Insert: {
          "created_at"?: string;
          "email"?: string | null;
          "full_name"?: string | null;
          "id": string;
          "kind"?: Database["public"]["Enums"]["profile_kind"];
          "role"?: Database["public"]["Enums"]["role"];
          "updated_at"?: string;
          "user_id"?: never;
          "version"?: number;
          "workplace_access"?: (string)[];
        };
        Update: {
          "created_at"?: string;
          "email"?: string | null;
          "full_name"?: string | null;
          "id"?: string;
          "kind"?: Database["public"]["Enums"]["profile_kind"];
          "role"?: Database["public"]["Enums"]["role"];
          "updated_at"?: string;
          "user_id"?: never;
          "version"?: number;
          "workplace_access"?: (string)[];
        };
        Relationships: [];
      };
      "reason_codes": {
        Row: {
          "active": boolean;
          "category": Database["public"]["Enums"]["downtime_category"] | null;
          "code": string;
          "created_at": string;
          "description": string | null;
          "kind": Database["public"]["Enums"]["reason_kind"];
          "level": number;
          "loss": Database["public"]["Enums"]["loss"] | null;
          "parent": string | null;
          "parent_level": number | null;
          "updated_at": string;
          "version": number;
        };
        ComputedFields: never;
        Insert: {
          "active"?: boolean;
          "category"?: Database["public"]["Enums"]["downtime_category"] | null;
          "code": string;
          "created_at"?: string;
          "description"?: string | null;
          "kind": Database["public"]["Enums"]["reason_kind"];
          "level"?: never;
          "loss"?: Database["public"]["Enums"]["loss"] | null;
          "parent"?: string | null;
          "parent_level"?: never;
          "updated_at"?: string;
          "version"?: number;
        };
        Update: {
          "active"?: boolean;
          "category"?: Database["public"]["Enums"]["downtime_category"] | null;
          "code"?: string;
          "created_at"?: string;
          "description"?: string | null;
          "kind"?: Database["public"]["Enums"]["reason_kind"];
          "level"?: never;
          "loss"?: Database["public"]["Enums"]["loss"] | null;
          "parent"?: string | null;
          "parent_level"?: never;
          "updated_at"?: string;
          "version"?: number;
        };
        Relationships: [
          {
            foreignKeyName: "reason_codes_parent_is_first_level";
            columns: ["kind", "parent", "parent_level"];
            isOneToOne: false;
            referencedRelation: "reason_codes";
            referencedColumns: ["kind", "code", "level"];
          },
        ];
      };
      "workplace_state_events": {
        Row: {
          "created_at": string;
          "id": string;
          "occurred_at": string;
          "person_id": string | null;
          "report_digest": string | null;
          "reporter_id": number | null;
          "seq": number;
          "silent_since": string | null;
          "state": Database["public"]["Enums"]["machine_state"];
          "user_id": string | null;
          "workplace_name": string;
        };
        ComputedFields: never;
        Insert: {
          "created_at"?: string;
          "id"?: string;
          "occurred_at": string;
          "person_id"?: string | null;
          "report_digest"?: string | null;
          "reporter_id"?: number | null;
          "seq": number;
          "silent_since"?: string | null;
          "state": Database["public"]["Enums"]["machine_state"];
          "user_id"?: string | null;
          "workplace_name": string;
        };
        Update: {
          "created_at"?: string;
          "id"?: string;
          "occurred_at"?: string;
          "person_id"?: string | null;
          "report_digest"?: string | null;
          "reporter_id"?: number | null;
          "seq"?: number;
          "silent_since"?: string | null;
          "state"?: Database["public"]["Enums"]["machine_state"];
          "user_id"?: string | null;
          "workplace_name"?: string;
        };
        Relationships: [
          {
            foreignKeyName: "workplace_state_events_workplace_name_fkey";
            columns: ["workplace_name"];
            isOneToOne: false;
            referencedRelation: "workplaces";
            referencedColumns: ["name"];
          },
        ];
      };
      "workplace_states": {
        Row: {
          "ended_at": string | null;
          "event_id": string;
          "heard_at": string;
          "span_no": number;
          "started_at": string;
          "state": Database["public"]["Enums"]["machine_state"];
          "workplace_name": string;
        };
        ComputedFields: never;
        Insert: {
          "ended_at"?: string | null;
          "event_id": string;
          "heard_at": string;
          "span_no": number;
          "started_at": string;
          "state": Database["public"]["Enums"]["machine_state"];
          "workplace_name": string;
        };
        Update: {
          "ended_at"?: string | null;
          "event_id"?: string;
          "heard_at"?: string;
          "span_no"?: number;
          "started_at"?: string;
          "state"?: Database["public"]["Enums"]["machine_state"];
          "workplace_name"?: string;
        };
        Relationships: [
          {
            foreignKeyName: "workplace_states_event_id_fkey";
            columns: ["event_id"];
            isOneToOne: false;
            referencedRelation: "workplace_state_events";
            referencedColumns: ["id"];
          },
          {
            foreignKeyName: "workplace_states_workplace_name_fkey";
            columns: ["workplace_name"];
            isOneToOne: false;
            referencedRelation: "workplaces";
            referencedColumns: ["name"];
          },
        ];
      };
      "workplaces": {
        Row: {
          "active": boolean;
          "calendar_name": string | null;
          "capacity": number | null;
          "created_at": string;
          "micro_stop_s": number;
          "name": string;
          "signal_timeout_s": number | null;
          "time_basis": Database["public"]["Enums"]["time_basis"];
          "updated_at": string;
          "version": number;
          "workplace_group": string | null;
        };
        ComputedFields: never;
        Insert: {
          "active"?: boolean;
          "calendar_name"?: string | null;
          "capacity"?: number | null;
          "created_at"?: string;
          "micro_stop_s"?: number;
          "name": string;
          "signal_timeout_s"?: number | null;
          "time_basis"?: Database["public"]["Enums"]["time_basis"];
          "updated_at"?: string;
          "version"?: number;
          "workplace_group"?: string | null;
        };
        Update: {
          "active"?: boolean;
          "calendar_name"?: string | null;
          "capacity"?: number | null;
          "created_at"?: string;
          "micro_stop_s"?: number;
          "name"?: string;
          "signal_timeout_s"?: number | null;
          "time_basis"?: Database["public"]["Enums"]["time_basis"];
          "updated_at"?: string;
          "version"?: number;
          "workplace_group"?: string | null;
        };
        Relationships: [
          {
            foreignKeyName: "workplaces_calendar_known";
            columns: ["calendar_name"];
            isOneToOne: false;
            referencedRelation: "calendars";
            referencedColumns: ["name"];
          },
        ];
      };
    };
    Views: {
      [_ in never]: never;
    };
    Functions: {
      "admit_key": { Args: Record<PropertyKey, never>; Returns: Json };
      "admit_key_stream": { Args: Record<PropertyKey, never>; Returns: Json };
      "claim_deliveries": {
        Args: { "beyond_share"?: number; "take"?: number; "to_endpoints"?: (string)[] };
        Returns: Json;
      };
      "create_api_key": { Args: { "digest": string; "key": Json }; Returns: Json };
      "create_board_ticket": { Args: { "digest": string; "ticket": Json }; Returns: Json };
      "create_calendar": { Args: { "calendar": Json; "idempotency"?: Json }; Returns: Json };
      "create_operation": { Args: { "idempotency"?: Json; "operation": Json }; Returns: Json };
      "create_person": { Args: { "idempotency"?: Json; "person": Json }; Returns: Json };
      "create_profile": { Args: { "idempotency"?: Json; "profile": Json }; Returns: Json };
      "create_reason_code": { Args: { "idempotency"?: Json; "reason_code": Json }; Returns: Json };
      "create_stream_ticket": { Args: { "digest": string; "filter": Json }; Returns: Json };
      "create_webhook_endpoint": { Args: { "endpoint": Json; "idempotency"?: Json }; Returns: Json };
      "create_workplace": { Args: { "idempotency"?: Json; "workplace": Json }; Returns: Json };
      "delete_calendar": { Args: { "if_match"?: (number)[]; "name": string }; Returns: undefined };
      "delete_calendar_exception": {
        Args: { "if_match"?: (number)[]; "name": string; "on_date": string };
        Returns: undefined;
      };
      "delete_operation": {
        Args: { "asset_id": number; "if_match"?: (number)[]; "operation_no": string; "order_no": string };
        Returns: undefined;
      };
      "delete_person": { Args: { "id": string; "if_match"?: (number)[] }; Returns: undefined };
      "delete_profile": { Args: { "id": string; "if_match"?: (number)[] }; Returns: undefined };
      "delete_reason_code": { Args: { "code": string; "if_match"?: (number)[]; "kind": string }; Returns: undefined };
      "delete_webhook_endpoint": { Args: { "endpoint_id": string; "if_match"?: (number)[] }; Returns: undefined };
      "delete_workplace": { Args: { "if_match"?: (number)[]; "name": string }; Returns: undefined };
      "describe_caller": { Args: Record<PropertyKey, never>; Returns: Json };
      "feed_head": { Args: Record<PropertyKey, never>; Returns: Json };
      "find_problems": { Args: { "take"?: number }; Returns: Json };
      "floor_now": {
        Args: { "take"?: number; "workplace_group"?: string; "workplace_names"?: (string)[] };
        Returns: Json;
      };
      "forget_profile": { Args: { "id": string }; Returns: Json };
      "get_acting_person": { Args: Record<PropertyKey, never>; Returns: Json };
      "get_api_key": { Args: { "key_id": string }; Returns: Json };
      "get_calendar": { Args: { "name": string }; Returns: Json };
      "get_downtime": { Args: { "id": string }; Returns: Json };
      "get_event": { Args: { "id": string }; Returns: Json };
      "get_operation": { Args: { "asset_id": number; "operation_no": string; "order_no": string }; Returns: Json };
      "get_operation_history": {
        Args: { "asset_id": number; "operation_no": string; "order_no": string; "take"?: number };
        Returns: Json;
      };
      "get_own_profile": { Args: Record<PropertyKey, never>; Returns: Json };
      "get_person": { Args: { "id": string }; Returns: Json };
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
      "list_all_runs": {
        Args: {
          "after_operation_id"?: number;
          "after_run_no"?: number;
          "after_started_at"?: string;
          "count"?: string;
          "from_at"?: string;
          "skip"?: number;
          "take"?: number;
          "to_at"?: string;
          "workplace_names"?: (string)[];
        };
        Returns: Json;
      };
      "list_api_keys": {
        Args: {
          "after_created_at"?: string;
          "after_id"?: string;
          "count"?: string;
          "skip"?: number;
          "status"?: string;
          "take"?: number;
        };
        Returns: Json;
      };
      "list_board_tickets": {
        Args: {
          "after_created_at"?: string;
          "after_id"?: string;
          "count"?: string;
          "skip"?: number;
          "take"?: number;
          "workplace_group"?: string;
        };
        Returns: Json;
      };
      "list_calendar_exceptions": { Args: { "from_date"?: string; "name": string; "to_date"?: string }; Returns: Json };
      "list_calendars": {
        Args: { "after_name"?: string; "count"?: string; "q"?: string; "skip"?: number; "take"?: number };
        Returns: Json;
      };
      "list_downtimes": {
        Args: {
          "before_id"?: string;
          "before_started_at"?: string;
          "cancelled"?: boolean;
          "category"?: string;
          "count"?: string;
          "from_at"?: string;
          "open"?: boolean;
          "reason_codes"?: (string)[];
          "skip"?: number;
          "take"?: number;
          "to_at"?: string;
          "unexplained"?: boolean;
          "workplace_names"?: (string)[];
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
          "person_id"?: string;
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
          "source_conflict"?: boolean;
          "statuses"?: (string)[];
          "take"?: number;
          "updated_after"?: string;
          "with_actions"?: boolean;
          "workplace_group"?: string;
          "workplace_names"?: (string)[];
        };
        Returns: Json;
      };
      "list_people": {
        Args: {
          "active"?: boolean;
          "after_id"?: string;
          "after_name"?: string;
          "count"?: string;
          "q"?: string;
          "skip"?: number;
          "take"?: number;
          "workplace_name"?: string;
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
      "list_shifts": { Args: { "from_at"?: string; "name": string; "to_at"?: string }; Returns: Json };
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
          "with_running"?: boolean;
          "workplace_group"?: string;
        };
        Returns: Json;
      };
      "note_key_use": { Args: { "key_ids": (string)[] }; Returns: undefined };
      "prune_feed": { Args: Record<PropertyKey, never>; Returns: number };
      "pseudonymise_person": { Args: { "id": string }; Returns: Json };
      "put_calendar_exceptions": {
        Args: { "exceptions": Json; "idempotency"?: Json; "if_match"?: (number)[]; "name": string };
        Returns: Json;
      };
      "read_feed": {
        Args: {
          "action_types"?: (string)[];
          "after_pos"?: number;
          "generation"?: string;
          "mark"?: string;
          "order_no"?: string;
          "take"?: number;
          "with_downtimes"?: boolean;
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
      "report_board": {
        Args: { "with_oee"?: boolean; "workplace_group"?: string; "workplace_names"?: (string)[] };
        Returns: Json;
      };
      "report_downtime": { Args: { "idempotency"?: Json; "report": Json }; Returns: Json };
      "report_event": { Args: { "idempotency"?: Json; "report": Json }; Returns: Json };
      "report_events": { Args: { "idempotency"?: Json; "is_atomic"?: boolean; "reports": Json }; Returns: Json };
      "report_losses": {
        Args: {
          "by_keys"?: (string)[];
          "from_at"?: string;
          "shift_code"?: string;
          "shift_date"?: string;
          "time_zone"?: string;
          "to_at"?: string;
          "workplace_group"?: string;
          "workplace_names"?: (string)[];
        };
        Returns: Json;
      };
      "report_machine_state": { Args: { "idempotency"?: Json; "name": string; "signal": Json }; Returns: Json };
      "report_oee": {
        Args: {
          "attribution"?: string;
          "by_keys"?: (string)[];
          "from_at"?: string;
          "shift_code"?: string;
          "shift_date"?: string;
          "time_zone"?: string;
          "to_at"?: string;
          "workplace_group"?: string;
          "workplace_names"?: (string)[];
        };
        Returns: Json;
      };
      "report_operations": {
        Args: {
          "after_asset_id"?: number;
          "after_operation_no"?: string;
          "after_order_no"?: string;
          "from_at"?: string;
          "shift_code"?: string;
          "shift_date"?: string;
          "take"?: number;
          "time_zone"?: string;
          "to_at"?: string;
          "workplace_group"?: string;
          "workplace_names"?: (string)[];
        };
        Returns: Json;
      };
      "report_scrap": {
        Args: {
          "by_keys"?: (string)[];
          "from_at"?: string;
          "shift_code"?: string;
          "shift_date"?: string;
          "time_zone"?: string;
          "to_at"?: string;
          "workplace_group"?: string;
          "workplace_names"?: (string)[];
        };
        Returns: Json;
      };
      "report_summary": {
        Args: { "time_zone"?: string; "workplace_group"?: string; "workplace_names"?: (string)[] };
        Returns: Json;
      };
      "report_timeline": {
        Args: {
          "from_at"?: string;
          "shift_code"?: string;
          "shift_date"?: string;
          "time_zone"?: string;
          "to_at"?: string;
          "workplace_name": string;
        };
        Returns: Json;
      };
      "require_second_factor": { Args: { "is_required": boolean }; Returns: Json };
      "revoke_api_key": { Args: { "if_match"?: (number)[]; "key_id": string }; Returns: undefined };
      "revoke_board_ticket": { Args: { "ticket_id": string }; Returns: undefined };
      "rotate_api_key": {
        Args: { "digest": string; "if_match"?: (number)[]; "key_id": string; "overlap_h"?: number };
        Returns: Json;
      };
      "rotate_webhook_secret": {
        Args: { "endpoint_id": string; "idempotency"?: Json; "overlap_h"?: number };
        Returns: Json;
      };
      "set_rate_limits": { Args: { "limits": Json }; Returns: Json };
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
      "settle_rates": { Args: { "counted": Json; "sweeps"?: boolean }; Returns: Json };
      "sign_in_person": { Args: { "credentials": Json; "token_digest": string }; Returns: Json };
      "sign_out_person": { Args: Record<PropertyKey, never>; Returns: undefined };
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
      "update_api_key": { Args: { "if_match"?: (number)[]; "key_id": string; "patch": Json }; Returns: Json };
      "update_calendar": {
        Args: { "idempotency"?: Json; "if_match"?: (number)[]; "name": string; "patch": Json };
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
      "update_person": {
        Args: { "id": string; "idempotency"?: Json; "if_match"?: (number)[]; "patch": Json };
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
      "attribution": "prorated" | "reported";
      "change_type": "INSERT" | "UPDATE" | "DELETE";
      "downtime_action": "DOWNTIME_START" | "DOWNTIME_END" | "DOWNTIME_CLASSIFY" | "DOWNTIME_SPLIT" | "DOWNTIME_CANCEL";
      "downtime_category": "PLANNED" | "UNPLANNED";
      "downtime_source": "OPERATOR" | "MACHINE" | "SYSTEM";
      "exception_kind": "CLOSED" | "EXTRA";
      "hold_kind": "PAUSED" | "BLOCKED";
      "loss": "PLANNED" | "UNPLANNED" | "NONE";
      "machine_state": "RUNNING" | "IDLE" | "DOWN" | "SETUP" | "UNKNOWN";
      "phase": "SETUP" | "PROCESSING";
      "profile_kind": "person" | "integration";
      "rate_class": "reads" | "writes" | "heavy" | "sign_in" | "unauthenticated";
      "rate_kind":
        | "readonly"
        | "machine"
        | "operator"
        | "supervisor"
        | "manager"
        | "admin"
        | "model"
        | "secret_key"
        | "address";
      "reason_kind": "STOP" | "SCRAP" | "HOLD" | "CANCEL" | "SHORTFALL" | "DOWNTIME";
      "role": "readonly" | "machine" | "operator" | "supervisor" | "manager" | "admin";
      "scope":
        | "operations:read"
        | "operations:plan"
        | "operations:import"
        | "events:read"
        | "events:report"
        | "events:correct"
        | "downtimes:report"
        | "reports:read"
        | "webhooks:manage"
        | "stream:read"
        | "people:act"
        | "people:manage"
        | "board:read";
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
      "time_basis": "UNIT" | "SLOTS";
      "workplace_state": "running" | "setup" | "paused" | "blocked" | "idle" | "down" | "unknown" | "off_shift";
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
      "attribution": ["prorated", "reported"],
      "change_type": ["INSERT", "UPDATE", "DELETE"],
      "downtime_action": ["DOWNTIME_START", "DOWNTIME_END", "DOWNTIME_CLASSIFY", "DOWNTIME_SPLIT", "DOWNTIME_CANCEL"],
      "downtime_category": ["PLANNED", "UNPLANNED"],
      "downtime_source": ["OPERATOR", "MACHINE", "SYSTEM"],
      "exception_kind": ["CLOSED", "EXTRA"],
      "hold_kind": ["PAUSED", "BLOCKED"],
      "loss": ["PLANNED", "UNPLANNED", "NONE"],
      "machine_state": ["RUNNING", "IDLE", "DOWN", "SETUP", "UNKNOWN"],
      "phase": ["SETUP", "PROCESSING"],
      "profile_kind": ["person", "integration"],
      "rate_class": ["reads", "writes", "heavy", "sign_in", "unauthenticated"],
      "rate_kind": [
        "readonly",
        "machine",
        "operator",
        "supervisor",
        "manager",
        "admin",
        "model",
        "secret_key",
        "address",
      ],
      "reason_kind": ["STOP", "SCRAP", "HOLD", "CANCEL", "SHORTFALL", "DOWNTIME"],
      "role": ["readonly", "machine", "operator", "supervisor", "manager", "admin"],
      "scope": [
        "operations:read",
        "operations:plan",
        "operations:import",
        "events:read",
        "events:report",
        "events:correct",
        "downtimes:report",
        "reports:read",
        "webhooks:manage",
        "stream:read",
        "people:act",
        "people:manage",
        "board:read",
      ],
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
      "time_basis": ["UNIT", "SLOTS"],
      "workplace_state": ["running", "setup", "paused", "blocked", "idle", "down", "unknown", "off_shift"],
    },
  },
} as const;
