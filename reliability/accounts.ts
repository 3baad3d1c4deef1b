/** Users of Supabase Auth, made as anybody makes one. */

/** URL and key with which users sign up. */
export interface SignUpAddress {
  supabaseUrl: string;
  publishableKey: string;
}

/** A signed-in user. */
export interface Account {
  user_id: string;
  email: string;
  password: string;
  token: string;
  /** Headers of the user's calls. */
  headers: Record<string, string>;
}

/** Signs a user up with the publishable key: an operator of no workplace. */
export async function signUp({ supabaseUrl, publishableKey }: SignUpAddress, email: string): Promise<Account> {
  const password = crypto.randomUUID();
  const response = await fetch(`${supabaseUrl}/auth/v1/signup`, {
    method: "POST",
    headers: { apikey: publishableKey, "content-type": "application/json" },
    body: JSON.stringify({ email, password }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`Sign-up of ${email} answered ${response.status}: ${text}`);
  const { access_token: token, user } = JSON.parse(text);
  return {
    user_id: user.id,
    email,
    password,
    token,
    headers: { apikey: publishableKey, authorization: `Bearer ${token}` },
  };
}
