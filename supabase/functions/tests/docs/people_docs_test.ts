/** docs/people.md: its commands, one after the other, do what the page says. */
import { fileURLToPath } from "node:url";
import { assertEquals, assertExists, assertStringIncludes } from "../support/assertions.ts";
import { env, newOperation, newUser, unique } from "../support/harness.ts";

const page = await Deno.readTextFile(fileURLToPath(new URL("../../../../docs/people.md", import.meta.url)));

Deno.test({
  name: "docs/people.md: the commands create a person and a terminal, sign in, report and pseudonymise",
  ignore: Deno.build.os === "windows",
  async fn() {
    const admin = await newUser({ role: "admin" });
    const operation = await newOperation();
    const [number, badge] = [unique("P"), unique("badge")];
    const commands = [...page.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, text = ""]) =>
      text.replaceAll("TruLaser 5060 (L76)", operation.workplace_name ?? "").replaceAll(
        "403860-001",
        operation.order_no,
      )
        .replaceAll('"4711"', `"${number}"`).replaceAll("04A2B91C6F5E80", badge)
    );
    const variables: Record<string, string> = { FUNCTIONS_URL: env.functionsUrl, TOKEN: admin.token };
    const run = async (replaced: Record<string, string> = {}) => {
      let command = commands.shift();
      assertExists(command);
      for (const [text, value] of Object.entries(replaced)) command = command.replaceAll(text, value);
      const { stdout, stderr } = await new Deno.Command("sh", { args: ["-euc", command], env: variables }).output();
      assertEquals(new TextDecoder().decode(stderr), "", command);
      return JSON.parse(new TextDecoder().decode(stdout));
    };
    const person = await run();
    assertEquals([person.display_name, person.has_badge, person.has_pin], ["Anna", true, true], JSON.stringify(person));
    variables.MES_API_KEY = (await run()).key;
    const session = await run();
    // the page shows such an answer
    const shown = JSON.parse(/^```json\n(.*?)^```$/ms.exec(page)?.[1] ?? "");
    assertEquals(Object.keys(session), Object.keys(shown), JSON.stringify(session));
    variables.ACTING_TOKEN = session.token;
    const event = await run();
    assertEquals(event.person, { id: person.id, display_name: "Anna" }, JSON.stringify(event));
    const record = await run({ "<person id>": person.id });
    assertEquals([record.id, record.events], [person.id, 1], JSON.stringify(record));
    assertEquals(commands, []);
    assertStringIncludes(page, "PEOPLE_PEPPER");
  },
});
