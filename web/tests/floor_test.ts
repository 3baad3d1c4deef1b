/** The floor on two screens: an operator works at the terminal, and the board of the hall follows. */
import {
  assertLess,
  newOperation,
  newUser,
  newWorkplace,
  server,
  unique,
} from "../../supabase/functions/tests/support/harness.ts";
import { pageTest } from "./support/pages.ts";

pageTest("board: follows within 2 s what an operator does at a terminal, from START to FINISH", async ({ open }) => {
  const [workplace_group, name] = [unique("Hall"), newWorkplace()];
  await server.post("/workplaces/v1", { name, workplace_group });
  const { order_no } = await newOperation({ workplace_name: name, qty_desired: 5 });
  const [operator, manager] = await Promise.all([newUser({ workplaces: [name] }), newUser({ role: "manager" })]);
  const { page: terminal } = await open("terminal.html", { user: operator });
  const { page: board } = await open(`board.html?workplace_group=${workplace_group}`, { user: manager });
  const card = board.getByRole("article", { name, exact: true });
  await card.locator(".now").getByText("idle", { exact: true }).waitFor();
  await terminal.locator(".entry").filter({ hasText: order_no }).click();

  const delaysMs: number[] = [];
  /** Presses a button at the terminal, and waits until the board shows what it led to. */
  const act = async (button: string | RegExp, shown: string) => {
    await terminal.getByRole("button", { name: button, exact: true }).click();
    const beganAt = performance.now();
    await card.getByText(shown, { exact: true }).first().waitFor();
    delaysMs.push(performance.now() - beganAt);
  };
  await act("Start", "running");
  await terminal.getByRole("button", { name: "Stop", exact: true }).click();
  await act("Without a reason", "paused");
  await act("Start", "running");
  await terminal.getByRole("button", { name: "Pieces", exact: true }).click();
  await terminal.getByRole("button", { name: "5", exact: true }).click();
  await act("Book", "5 of 5");
  await act("Finish", "idle");
  // the median, because other tests use this machine at the same time
  assertLess(delaysMs.toSorted((one, other) => one - other)[2] ?? Infinity, 2_000);
});
