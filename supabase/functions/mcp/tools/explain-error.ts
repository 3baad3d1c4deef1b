import { z } from "@hono/zod-openapi";
import { type ProblemCode, problemTable } from "../../_shared/problems.ts";
import { readTool } from "../tool.ts";

const Code = z.enum(Object.keys(problemTable) as [ProblemCode, ...ProblemCode[]]);

export const explainError = readTool({
  name: "explain_error",
  title: "Explain a code",
  description: "What the code of a refusal means, and what to do about it.",
  args: z.strictObject({
    code: Code.openapi({ description: "Code of a refusal.", example: "workplace_busy" }),
  }),
  answer: {
    code: Code,
    title: z.string().openapi({ description: "Title of the code." }),
    status: z.int().openapi({ description: "HTTP status over REST." }),
    explanation: z.string().openapi({ description: "When it occurs, and what to do." }),
    example_detail: z.string().openapi({ description: "An occurrence." }),
  },
  read: ({ code }) => {
    const { title, status, explanation, example } = problemTable[code];
    return { code, title, status, explanation, example_detail: example.detail };
  },
});
