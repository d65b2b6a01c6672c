import type { Schemas } from "../../api/types";

export type Receipt = Required<Schemas["ReceiptView"]>;
export type Change = Required<Schemas["AttributeChangeView"]>;
