import { assertEquals } from "../support/assertions.ts";
import { testFilesOf } from "../../../../local/commands/test_files.ts";
import {
  concurrency,
  feed,
  keys,
  limits,
  modelTest,
  reportModelTest,
  webhooks,
} from "../../../../reliability/suites.ts";

Deno.test("reliability: finds the test of each figure when tests were renamed", async () => {
  const files = await testFilesOf("_test");
  const texts = await Promise.all(files.map((file) => Deno.readTextFile(file)));
  const isThere = (name: string) => texts.some((text) => [`"${name}`, `\`${name}`].some((form) => text.includes(form)));
  const named = [...concurrency, ...feed, ...keys, ...limits, ...webhooks].map(({ test }) => test);
  const missing = [...named, modelTest, reportModelTest].filter((test) => !isThere(test));
  assertEquals(missing, []);
});
