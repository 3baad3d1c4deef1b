/**
 * How far a command has come, in a file: written after each answer, so that whatever ends the command, the next one asks
 * for one answer again at most.
 *
 * @module
 */
import type { z } from "zod";
import { messageOf } from "../local/system/failure.ts";
import { ToolFailure } from "./failure.ts";

/** What a file holds. */
export interface StateKind<State> {
  schema: z.ZodType<State>;
  /** Of what it is the state, for messages: `an import`. */
  subject: string;
  /** Option that places the file. */
  option: string;
}

/** A file of a command that can be resumed. */
export class StateFile<State> {
  constructor(readonly path: string, readonly kind: StateKind<State>) {}

  /**
   * Reads the file; undefined when there is none.
   *
   * @throws {ToolFailure} when it cannot be read, or holds something else.
   */
  async read(): Promise<State | undefined> {
    let text: string;
    try {
      text = await Deno.readTextFile(this.path);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw new ToolFailure(`Cannot read the state file ${this.path}: ${messageOf(error)}`);
    }
    const { schema, subject } = this.kind;
    try {
      return schema.parse(JSON.parse(text));
    } catch {
      throw new ToolFailure(`${this.path} is not the state of ${subject}: remove it, or begin anew with --no-resume.`);
    }
  }

  /**
   * Replaces the file as a whole: a kill leaves the old one or the new one.
   *
   * @throws {ToolFailure} when it cannot be written.
   */
  async write(state: State): Promise<void> {
    try {
      await Deno.writeTextFile(`${this.path}.new`, `${JSON.stringify(state)}\n`);
      await Deno.rename(`${this.path}.new`, this.path);
    } catch (error) {
      const reason = messageOf(error);
      throw new ToolFailure(
        `Cannot write the state file ${this.path}: ${reason}. Place it elsewhere with ${this.kind.option}.`,
      );
    }
  }

  /** Removes the file: the command is complete. */
  async remove(): Promise<void> {
    await Deno.remove(this.path).catch(() => {});
  }
}
