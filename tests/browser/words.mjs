// What a person looks for on the pages, in each language. Only words that the walk acts on or checks.

export const WORDS = {
  en: {
    email: "E-mail",
    number: "Card number",
    expiry: "Expiry",
    code: "Security code",
    name: "Name on card",
    declined: /The bank declined this card.*You have not been charged/s,
    authenticate: "Complete authentication",
    seePlan: "See your plan",
    until: /^until /,
    manage: "Manage plan and card",
    changeMethod: "Change payment method",
    changeCard: "Change card",
    cardChanged: /The card was changed/,
    changePlan: "Change plan",
    changeButton: "Change to this plan",
    onStudio: /You are on (Studio|スタジオ) now/,
    cancelPlan: "Cancel plan",
    cancelEffect: /You keep (Studio|スタジオ) until then, and pay nothing more/,
    cancelConfirm: /^Cancel on/,
    cancelled: /The plan ends on/,
    keepPlan: "Keep plan",
    resumed: /The cancellation is undone/,
  },
  ja: {
    email: "メールアドレス",
    number: "カード番号",
    expiry: "有効期限",
    code: "セキュリティコード",
    name: "カード名義",
    declined: /カード会社に承認されませんでした.*請求は発生していません/s,
    authenticate: "認証を完了する",
    seePlan: "ご契約内容を見る",
    until: /まで$/,
    manage: "プランとカードを管理する",
    changeMethod: "お支払い方法を変更する",
    changeCard: "カードを変更する",
    cardChanged: /カードを変更しました/,
    changePlan: "プランを変更する",
    changeButton: "このプランに変更する",
    onStudio: /(Studio|スタジオ)に変更しました/,
    cancelPlan: "解約する",
    cancelEffect: /それまで(Studio|スタジオ)を使え、今後の請求はありません/,
    cancelConfirm: /に解約する$/,
    cancelled: /に解約となります/,
    keepPlan: "解約を取り消す",
    resumed: /解約を取り消しました/,
  },
};

/** The plans, as the shop and as the provider call them. */
export const PLANS = { pro: /\bPro\b|プロ/, studio: /Studio|スタジオ/ };

/** The test cards of the walk, as a person types them. */
export const CARDS = {
  pays: "4242 4242 4242 4242",
  declined: "4000 0000 0000 0002",
  authenticates: "4000 0027 6000 3184",
};
